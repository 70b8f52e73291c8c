package handlerstest

import (
	"bytes"
	"encoding/json"
	"strings"
	"sync"
)

// Lines is a log that tests can read: an io.Writer that many may use at once.
type Lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write takes lines.
func (l *Lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

// String is all that was written.
func (l *Lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Last is the last line, decoded from JSON.
func (l *Lines) Last() map[string]any {
	text := strings.TrimSpace(l.String())
	line := make(map[string]any)
	_ = json.Unmarshal([]byte(text[strings.LastIndexByte(text, '\n')+1:]), &line)
	return line
}
