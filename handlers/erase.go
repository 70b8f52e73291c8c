package handlers

// eraseKey is POST /v1/keys/{id}/erase.
func (a *api) eraseKey(x *Exchange) error { return a.toggle(x, a.service.EraseKey) }

// eraseWorkspace is POST /v1/workspaces/{id}/erase.
func (a *api) eraseWorkspace(x *Exchange) error {
	if err := x.DecodeOptional(&struct{}{}); err != nil {
		return err
	}
	erasure, err := a.service.EraseWorkspace(x.Context(), x.Call(), x.Var("id"))
	if err != nil {
		return err
	}
	x.Saw(erasure.Sequence)
	b := append(x.Body, `{"workspace_id":`...)
	b = appendString(b, erasure.Workspace)
	b = appendTimeMember(b, `,"erased_at":null`, erasure.At)
	b = appendUintMember(b, `,"sequence":`, erasure.Sequence)
	x.Body = append(b, '}', '\n')
	return nil
}
