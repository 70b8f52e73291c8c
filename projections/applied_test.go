package projections_test

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"keyledger/events"
	"keyledger/projections"
)

// Whoever asked for it is told of every event once and in order, when the views show it, from where the views were on.
func TestAppliedIsToldOfWhatIsShown(t *testing.T) {
	log, _ := filled(t, 300)
	var v *projections.Views
	next := uint64(1)
	applied := func(list []events.Event) {
		for i := range list {
			if e := &list[i]; e.Sequence != next || e.Payload == nil {
				t.Errorf("told of %d, want %d", e.Sequence, next)
			}
			next++
		}
		if position := v.Position(); position+1 < next {
			t.Errorf("told of %d while the views are at %d", next-1, position)
		}
	}
	v = open(t, projections.Options{FS: vfs.NewMem(), Applied: applied})
	r := run(t, v, log)
	r.catchUp(t, 0)
	r.stop()
	if position := v.Position(); position < 300 || next != position+1 {
		t.Errorf("told up to %d of %d", next-1, position)
	}
}
