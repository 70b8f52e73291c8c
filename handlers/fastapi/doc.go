// Package fastapi reads and refuses requests as a FastAPI server with pydantic does, for the dialects of vendors that
// run one: bodies parsed with the errors of Python's json module, all problems of a request at once, and the bodies of
// the answers 422 and 400.
//
// A handler reads the body with Body before it authenticates, as FastAPI does, and looks at its fields with a Model
// afterwards.
package fastapi
