package main

import (
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"keyledger/client"
)

func (k *keysCommand) printKey(w io.Writer, key *client.Key) error {
	if k.output == "json" {
		return writeJSON(w, key)
	}
	return writeKey(w, key, "")
}

// printIssued shows the token, which nobody can show again.
func (k *keysCommand) printIssued(w io.Writer, issued *client.Issued) error {
	token := issued.Token.Reveal()
	if k.output == "json" {
		return writeJSON(w, struct {
			*client.Key
			Token string `json:"token"`
		}{&issued.Key, token})
	}
	return writeKey(w, &issued.Key, token)
}

// printVerification returns errInvalidToken, when the decision is shown, for a token that is not valid.
func (k *keysCommand) printVerification(w io.Writer, v *client.Verification) error {
	var err error
	switch {
	case k.output == "json":
		err = writeJSON(w, v)
	case v.Key == nil:
		_, err = fmt.Fprintln(w, v.Code)
	default:
		if _, err = fmt.Fprintln(w, v.Code); err == nil {
			err = writeKey(w, v.Key, "")
		}
	}
	if err == nil && !v.Valid {
		err = fmt.Errorf("%w: %s", errInvalidToken, v.Code)
	}
	return err
}

// printKeys shows up to limit keys (0: all) as they come, and tells on notes when there are more.
func (k *keysCommand) printKeys(w, notes io.Writer, limit int, keys iter.Seq2[client.Key, error]) error {
	list := newKeyList(w, k.output)
	for key, err := range keys {
		if err != nil {
			return err
		}
		if limit > 0 && list.count == limit {
			fmt.Fprintf(notes, "only the newest %d are shown: --limit 0 shows all\n", limit)
			break
		}
		if err := list.add(&key); err != nil {
			return err
		}
	}
	return list.end()
}

// keyList writes keys one by one, as a table or as a JSON array.
type keyList struct {
	w     io.Writer
	table *tabwriter.Writer // nil: JSON
	count int
}

func newKeyList(w io.Writer, output string) *keyList {
	l := &keyList{w: w}
	if output == "table" {
		l.table = tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(l.table, "ID\tNAME\tHINT\tOWNER\tSTATUS\tEXPIRES\tLAST USED\tUSES")
	}
	return l
}

func (l *keyList) add(key *client.Key) error {
	l.count++
	if l.table != nil {
		_, err := fmt.Fprintf(l.table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\n", key.ID, plain(key.Name), plain(key.Hint),
			plain(owner(key)), key.Status, date(key.ExpiresAt, "never"), date(key.LastUsedAt, "never"), key.UseCount)
		if err == nil && l.count%1000 == 0 {
			err = l.table.Flush() // a long list is seen as it comes
		}
		return err
	}
	separator := ",\n"
	if l.count == 1 {
		separator = "[\n"
	}
	item, err := json.Marshal(key)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(l.w, "%s  %s", separator, item)
	return err
}

func (l *keyList) end() error {
	if l.table != nil {
		return l.table.Flush()
	}
	end := "\n]\n"
	if l.count == 0 {
		end = "[]\n"
	}
	_, err := io.WriteString(l.w, end)
	return err
}

// writeKey writes a key as a table of its values, leaving out what is absent.
func writeKey(w io.Writer, key *client.Key, token string) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(table, "%s\t%s\n", name, plain(value))
		}
	}
	row("id", key.ID)
	row("name", key.Name)
	if token != "" {
		row("token", token+"  (shown only now)")
	}
	row("hint", key.Hint)
	row("workspace", key.WorkspaceID)
	row("org", key.OrgID)
	row("agent", key.AgentID)
	row("agent name", key.AgentName)
	row("peer", key.PeerID)
	row("session", key.SessionID)
	row("scopes", strings.Join(key.Scopes, " "))
	row("environment", key.Environment)
	row("type", key.Type)
	if string(key.Metadata) != "{}" {
		row("metadata", string(key.Metadata))
	}
	row("status", string(key.Status))
	row("created", date(key.CreatedAt, ""))
	row("created by", key.CreatedBy)
	row("updated", date(key.UpdatedAt, ""))
	row("valid from", date(key.NotBefore, ""))
	row("expires", date(key.ExpiresAt, "never"))
	row("rotated", date(key.RotatedAt, ""))
	row("old token ends", date(key.PreviousExpiresAt, ""))
	row("disabled", date(key.DisabledAt, ""))
	row("revoked", date(key.RevokedAt, ""))
	row("revoked by", key.RevokedBy)
	row("reason", key.RevokeReason)
	row("last used", date(key.LastUsedAt, "never"))
	row("uses", strconv.FormatUint(key.UseCount, 10))
	row("sequence", strconv.FormatUint(key.Sequence, 10))
	return table.Flush()
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// owner is whom a key belongs to, from the widest to the narrowest.
func owner(key *client.Key) string {
	parts := make([]string, 0, 3)
	for _, part := range []struct{ kind, id string }{
		{"workspace", key.WorkspaceID}, {"org", key.OrgID}, {"agent", key.AgentID},
		{"peer", key.PeerID}, {"session", key.SessionID},
	} {
		if part.id != "" {
			parts = append(parts, part.kind+"="+part.id)
		}
	}
	return strings.Join(parts, " ")
}

func date(t time.Time, none string) string {
	if t.IsZero() {
		return none
	}
	return t.UTC().Format(time.RFC3339)
}

// plain keeps what others wrote from steering the terminal.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
}
