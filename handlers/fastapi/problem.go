package fastapi

import (
	"errors"
	"fmt"
)

// Problem is one thing that is wrong with a request: an entry of the detail of an answer 422.
type Problem struct {
	Type  string  // such as "string_too_short"
	Loc   []Value // strings and whole numbers: see Place
	Msg   string
	Input Value // what was sent there; null when there is nothing
	Ctx   Value // an object; left out when it is null
}

// Problems are all that is wrong with a request, in the order of its parts: path, query, headers, body, and of its
// fields. They are an error, answered with 422 and AppendProblems.
type Problems []Problem

// Place is where a problem is: "body", "path" or "header", and the names below it. Int makes the index of an item.
func Place(names ...string) []Value {
	place := make([]Value, 0, len(names)+1)
	for _, name := range names {
		place = append(place, Text(name))
	}
	return place
}

// Error tells the first problem, without what was sent.
func (p Problems) Error() string {
	if len(p) == 0 {
		return "fastapi: no problem"
	}
	place := Value{kind: List, items: p[0].Loc}.Append(nil)
	return fmt.Sprintf("fastapi: %d problems, the first: %s at %s", len(p), p[0].Type, place)
}

// Err is p, nil when there are none.
func (p Problems) Err() error {
	if len(p) == 0 {
		return nil
	}
	return p
}

// Join is the Problems in errs as one, in their order; an error among them that is something else goes before.
func Join(errs ...error) error {
	var all Problems
	for _, err := range errs {
		var problems Problems
		switch {
		case errors.As(err, &problems):
			all = append(all, problems...)
		case err != nil:
			return err
		}
	}
	return all.Err()
}

// Missing is the problem of something that is required and is not there, within input.
func Missing(place []Value, input Value) Problem {
	return Problem{Type: "missing", Loc: place, Msg: "Field required", Input: input}
}

// BadValue is the problem of a value that a rule of the application refuses, as pydantic tells a ValueError.
func BadValue(place []Value, why string, input Value) Problem {
	return Problem{Type: "value_error", Loc: place, Msg: "Value error, " + why, Input: input,
		Ctx: Record(Member{"error", Record()})}
}

// AppendProblems appends the body of an answer 422.
func AppendProblems(b []byte, problems Problems) []byte {
	b = append(b, `{"detail":[`...)
	for i, p := range problems {
		if i > 0 {
			b = append(b, ',')
		}
		b = p.append(b)
	}
	return append(b, `]}`...)
}

func (p *Problem) append(b []byte) []byte {
	b = appendString(append(b, `{"type":`...), p.Type)
	b = Value{kind: List, items: p.Loc}.Append(append(b, `,"loc":`...))
	b = appendString(append(b, `,"msg":`...), p.Msg)
	b = p.Input.Append(append(b, `,"input":`...))
	if p.Ctx.kind != Null {
		b = p.Ctx.Append(append(b, `,"ctx":`...))
	}
	return append(b, '}')
}

// AppendDetail appends the body of an answer with a status of its own, such as 401: FastAPI's HTTPException.
func AppendDetail(b []byte, detail string) []byte {
	return append(appendString(append(b, `{"detail":`...), detail), '}')
}
