package main

import (
	"keyledger/handlers"
	"keyledger/handlers/openlayer"
)

func (n *node) mountOpenlayer(api *handlers.Server) error {
	return api.Mount(openlayer.Routes(openlayer.Config{Service: n.service}), openlayer.Render)
}
