package main

import (
	"keyledger/handlers"
	"keyledger/handlers/imtegrate"
)

func (n *node) mountImtegrate(api *handlers.Server) error {
	routes, err := imtegrate.Routes(imtegrate.Config{Service: n.service, DefaultOrg: n.config.imtegrateOrg})
	if err != nil {
		return err
	}
	return api.Mount(routes, imtegrate.Render)
}
