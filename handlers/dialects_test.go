package handlers_test

import (
	"testing"

	"keyledger/handlers"
	"keyledger/handlers/agentex"
	"keyledger/handlers/honcho"
	"keyledger/handlers/imtegrate"
	"keyledger/handlers/openlayer"
	"keyledger/ledger"
)

// honchoSecret signs Honcho's keys.
const honchoSecret = "of honcho's keys, at least 32 bytes"

// newWholeWorld is a world whose server has every route there is: the native API and all dialects.
func newWholeWorld(t *testing.T, change ...func(*handlers.Config, *ledger.Config)) *world {
	t.Helper()
	return newWorldOf(t, mountDialects, change...)
}

func mountDialects(s *handlers.Server, service *ledger.Service) error {
	imtegrates, err := imtegrate.Routes(imtegrate.Config{Service: service})
	if err != nil {
		return err
	}
	agentexes, err := agentex.Routes(agentex.Config{Service: service, Secret: []byte("of internal keys, at least 32 bytes")})
	if err != nil {
		return err
	}
	for _, d := range []struct {
		routes []handlers.Route
		render func(*handlers.Exchange, error)
	}{
		{honcho.Routes(honcho.Config{Service: service, Secret: []byte(honchoSecret)}), honcho.Render},
		{imtegrates, imtegrate.Render},
		{agentexes, agentex.Render},
		{openlayer.Routes(openlayer.Config{Service: service}), openlayer.Render},
	} {
		if err := s.Mount(d.routes, d.render); err != nil {
			return err
		}
	}
	return nil
}
