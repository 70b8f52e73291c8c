package events

import "time"

// HeadSubjects are the subjects of the stream of tree heads.
const HeadSubjects = headPrefix + ">"

const headPrefix = "heads."

// HeadSubject is the subject of the tree heads that are signed at a time: one for each day.
func HeadSubject(at time.Time) string { return headPrefix + at.UTC().Format(time.DateOnly) }
