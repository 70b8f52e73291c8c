package ledger

import (
	"testing"
	"time"

	"github.com/google/uuid"
)

// The newest keys come first, however they were noted, and each once.
func TestFirstUsesOfTheNewestKeys(t *testing.T) {
	f := firstUses{waiting: make(map[uuid.UUID]time.Time)}
	var made []uuid.UUID
	for range 100 {
		id, err := uuid.NewV7()
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, id)
	}
	for i := range made {
		f.note(made[i*37%100], time.Unix(1, 0))
	}
	for end := 100; end > 0; end -= 10 {
		taken := f.take(10)
		for _, id := range made[end-10 : end] {
			if _, ok := taken[id]; !ok || len(taken) != 10 {
				t.Fatalf("of %d that wait, %d others were taken", end, len(taken))
			}
		}
	}
	if left := f.take(10); len(left) != 0 {
		t.Fatalf("%d are left", len(left))
	}
}
