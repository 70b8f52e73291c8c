//go:build !linux

package jetstream

const sharedMemory = ""

// ownMemory: there is no file system in memory that could be relied upon.
func ownMemory(string) bool { return false }
