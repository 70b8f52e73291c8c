package main

import (
	"context"
	"time"
)

// usePatience is how long a start waits for uses of keys. They are no reason not to serve.
const usePatience = 10 * time.Second

// catchUp waits until the views hold what the ledger and the log of uses hold now.
func (n *node) catchUp(ctx context.Context) error {
	last, err := n.events.Last(ctx)
	if err != nil {
		return err
	}
	lastUse, err := n.events.LastUsage(ctx)
	if err != nil {
		return err
	}
	if err := n.views.WaitFor(ctx, last); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, usePatience)
	defer cancel()
	if err := n.views.WaitForUses(limited, lastUse); err != nil && limited.Err() != nil && ctx.Err() == nil {
		n.log.Warn("the last uses of keys are not known yet")
	} else if err != nil {
		return err
	}
	return n.awaitWord(ctx)
}

// awaitWord waits until the views have heard from the ledger lately: before that, every token is refused as stale.
func (n *node) awaitWord(ctx context.Context) error {
	for time.Since(n.views.Heard()) > n.config.maxStaleness {
		if err := n.pause(ctx, time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// awaitReplicas waits until this peer takes part in everything that its cluster stores: who restarts one node after the other goes
// by /readyz, and the next one may be stopped then.
func (n *node) awaitReplicas(ctx context.Context) error {
	if n.server == nil {
		return nil
	}
	began, told := time.Now(), ""
	for {
		behind := n.server.Behind()
		if behind == nil {
			return nil
		}
		if text := behind.Error(); time.Since(began) > slowStep && text != told {
			n.log.Warn("this peer does not take part in all of the cluster yet; if that lasts, its data is damaged: "+
				"give it a new folder and --node-name", "error", text)
			told = text
		}
		if err := n.pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}
