package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"keyledger/events"
)

// mark is what a node of keyledger has told of the ledger: at a time there was no event after last. A heartbeat alone tells
// what the server has that the consumer is on, which may have lost the majority, or be behind. So nothing is missing up
// to a mark's time when the consumer has come to its last, whoever sent what.
type mark struct {
	at   time.Time
	last uint64
}

// ask asks for the state of the consumer, which fails when it is not ours any more, and takes the mark that comes with it.
func (s *natsSession) ask(ctx context.Context) error {
	asked := time.Now()
	info, header, err := s.info(ctx)
	if err != nil || s.heard == nil {
		return err
	}
	m, err := parseMark(header, asked)
	if err != nil {
		return err
	}
	s.asked = asked
	if s.next.at.IsZero() {
		s.next = m
	} else {
		s.later = m
	}
	if info.Delivered.Consumer == s.count {
		s.reach(info.Delivered.Stream)
	}
	return nil
}

// askAgain asks unless that was done within the time of a heartbeat.
func (s *natsSession) askAgain(ctx context.Context) error {
	if s.heard == nil || time.Since(s.asked) < heartbeat {
		return nil
	}
	return s.ask(ctx)
}

// reach notes that everything has come up to a sequence of the ledger.
func (s *natsSession) reach(sequence uint64) {
	for s.heard != nil && !s.next.at.IsZero() && sequence >= s.next.last {
		s.heard(s.next.at)
		s.next, s.later = s.later, mark{}
	}
}

// info is the state of the consumer, with the header of the answer. It fails when the consumer is not the one that this
// session has made. Consumers of the same key share eight names.
func (s *natsSession) info(ctx context.Context) (*jetstream.ConsumerInfo, nats.Header, error) {
	ctx, cancel := context.WithTimeout(ctx, natsTimeout)
	defer cancel()
	m, err := s.nc.RequestWithContext(ctx, "$JS.API.CONSUMER.INFO."+ledgerStream+"."+s.consumer.CachedInfo().Name, nil)
	if err != nil {
		return nil, nil, fmt.Errorf("client: state of the consumer: %w", err)
	}
	var answer struct {
		jetstream.ConsumerInfo
		Error *jetstream.APIError `json:"error"`
	}
	switch err := json.Unmarshal(m.Data, &answer); {
	case err != nil:
		return nil, nil, fmt.Errorf("client: state of the consumer: %w", err)
	case answer.Error != nil:
		return nil, nil, fmt.Errorf("client: state of the consumer: %w", answer.Error)
	case !answer.Created.Equal(s.made):
		return nil, nil, errors.New("client: another process has taken the consumer")
	}
	return &answer.ConsumerInfo, m.Header, nil
}

// parseMark reads the mark in the answer to what was asked at a time.
func parseMark(h nats.Header, asked time.Time) (mark, error) {
	age, err := strconv.ParseInt(h.Get(events.HeaderAge), 10, 64)
	if err != nil {
		return mark{}, errors.New("client: the server does not tell as of when it knows the ledger: it is older than this program")
	}
	last, err := strconv.ParseUint(h.Get(events.HeaderLast), 10, 64)
	if err != nil {
		return mark{}, fmt.Errorf("client: %s: %w", events.HeaderLast, err)
	}
	return mark{at: asked.Add(-time.Duration(max(age, 0)) * time.Millisecond), last: last}, nil
}
