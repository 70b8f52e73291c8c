package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"keyledger/handlers/witness"
	"keyledger/ledger"
	"keyledger/ledger/jetstream"
)

// secretLeast is the least length of the server secret, in bytes.
const secretLeast = 32

// config is what serve is told, by flags and by KEYLEDGER_ variables of the same names.
type config struct {
	treeless bool // see newTreelessCommand

	http            string
	tlsCert, tlsKey string
	data            string

	nats                      string
	natsCreds                 string
	natsCA, natsCert, natsKey string
	natsListen                string
	calloutSeed               string
	calloutSeedFile           string
	calloutAccount            string
	natsSystem                string
	replicas                  int // 0 until check
	cluster                   clusterConfig
	diskReserve               int64 // MiB

	rootToken, rootTokenFile   string
	secret, secretFile         string
	signingKey, signingKeyFile string
	tokenPrefix                string
	witnessTexts               []string
	witnesses                  []*witness.Witness // parsed from witnessTexts

	origin         string
	name           string
	metricsPublic  bool
	trusted        []string
	trustedProxies []netip.Prefix // parsed from trusted

	auditReads     bool
	readsKept      string
	readsRetention time.Duration // parsed from readsKept; 0 without auditReads

	dialects                       string
	dialectList                    []string // parsed from dialects
	imtegrateOrg                   string
	agentexOpen                    bool
	honchoSecret, honchoSecretFile string

	expiryNotices string
	horizons      []time.Duration // parsed from expiryNotices
	firstUsedRate int

	webhookPrivate  bool
	webhookWaits    string
	webhookSchedule []time.Duration // parsed from webhookWaits

	asOfEvents     int
	authFailures   int
	maxConnections int

	maxStaleness    time.Duration
	verifyIndex     string
	drain           time.Duration
	shutdownTimeout time.Duration
	logFormat       string
	logLevel        slog.Level
}

func (c *config) flags(f *pflag.FlagSet) {
	f.SortFlags = false
	f.StringVar(&c.http, "http", ":8080", "address to serve HTTP on; port 0 takes a free one, see http.addr in the data folder")
	f.StringVar(&c.tlsCert, "tls-cert", "", "PEM file of the server's certificate chain: serves HTTPS, and TLS to subscribers")
	f.StringVar(&c.tlsKey, "tls-key", "", "PEM file of the certificate's key")
	f.StringVar(&c.data, "data", "./data", "folder of everything that is kept")
	f.StringVar(&c.nats, "nats", "", "URL of an external NATS with JetStream, several with commas; empty runs one in this process")
	f.StringVar(&c.natsCreds, "nats-creds", "", "credentials file for the external NATS")
	f.StringVar(&c.natsCA, "nats-ca", "", "PEM file of the certificates that may vouch for the external NATS")
	f.StringVar(&c.natsCert, "nats-cert", "", "PEM file of the certificate to show to the external NATS")
	f.StringVar(&c.natsKey, "nats-key", "", "PEM file of that certificate's key")
	f.StringVar(&c.natsListen, "nats-listen", "", "address for subscribers to the NATS in this process; port 0 takes a free one, see nats.addr in the data folder; empty opens none")
	f.StringVar(&c.calloutSeed, "nats-auth-callout-seed", "", "seed of the account key that is the issuer of the external NATS's auth_callout: admits subscribers there")
	f.StringVar(&c.calloutSeedFile, "nats-auth-callout-seed-file", "", "file that holds this seed")
	f.StringVar(&c.calloutAccount, "nats-auth-callout-account", jetstream.SubscribersAccount, "account of the external NATS that subscribers are put into")
	f.StringVar(&c.natsSystem, "nats-system", "", "URL of the external NATS with a user of its system account: lets the settings of its servers be checked, and subscribers whose keys end be disconnected at once, else within a minute")
	c.cluster.flags(f)
	f.IntVar(&c.replicas, "replicas", 0, "servers that hold each event: 1, 3 or 5; 0 is 3 in a cluster of nodes, else 1")
	f.Int64Var(&c.diskReserve, "disk-reserve", jetstream.DefaultReserve>>20, "MiB of free disk space below which the NATS in this process stores nothing more")
	f.StringVar(&c.rootToken, "root-token", "", "token of the first root key, 32 to 512 characters; empty makes one at the first start")
	f.StringVar(&c.rootTokenFile, "root-token-file", "", "file that holds the root token")
	f.StringVar(&c.secret, "secret", "", "secret of at least 32 characters that all nodes of one ledger share; needed with --nats and --cluster-name, else made at the first start")
	f.StringVar(&c.secretFile, "secret-file", "", "file that holds the secret")
	f.StringVar(&c.signingKey, "signing-key", "", "seed of the Ed25519 key that signs the heads of the ledger, 32 bytes in base64; empty takes one that follows from the secret")
	f.StringVar(&c.signingKeyFile, "signing-key-file", "", "file that holds this seed")
	f.StringSliceVar(&c.witnessTexts, "witness", nil, "witness that is asked to cosign the heads of the ledger, <verifier key>=<URL>; several with commas, or one each")
	f.StringVar(&c.name, "name", "main", "name of the ledger, in the source of its events: /keyledger/<name>")
	f.StringVar(&c.origin, "origin", "", "name of the ledger in its signed heads, a URL without scheme; empty is keyledger/<name>")
	f.StringVar(&c.tokenPrefix, "token-prefix", "kl", "what minted tokens begin with: 1 to 16 of a-z, 0-9 and _")
	f.StringVar(&c.expiryNotices, "expiry-notices", "7d,1d", "how long before the expiry of a key a key.expiring event says so, with commas; none for no such events")
	f.IntVar(&c.firstUsedRate, "first-used-rate", 10, "most key.first_used events that this node stores in a second, the others later; 0 for no such events")
	f.StringVar(&c.honchoSecret, "honcho-jwt-secret", "", "secret that signs Honcho's keys, its AUTH_JWT_SECRET; empty makes none, as a Honcho with authentication off")
	f.StringVar(&c.honchoSecretFile, "honcho-jwt-secret-file", "", "file that holds Honcho's secret")
	f.DurationVar(&c.maxStaleness, "max-staleness", 5*time.Second, "how long a node that is cut off from NATS goes on answering verify")
	f.IntVar(&c.asOfEvents, "as-of-events", ledger.DefaultPastEvents, "most events that a list as of a time is made of, in memory: about 500 MB a million")
	f.StringVar(&c.verifyIndex, "verify-index", "memory", "where the index of tokens is: memory (fast) or disk (small)")
	f.StringSliceVar(&c.trusted, "trusted-proxies", nil, "networks (10.0.0.0/8) whose X-Forwarded-For is believed")
	f.IntVar(&c.authFailures, "auth-failures", 100, "wrong tokens from one address, of IPv6 one /64, that are answered 401 in a minute, the others 429; 0 for no limit")
	f.IntVar(&c.maxConnections, "max-connections", 16384, "most HTTP connections at once; fewer where the limit of open files does not leave 1024 for the rest")
	f.BoolVar(&c.metricsPublic, "metrics-public", false, "answer /metrics without a token; else it takes the scope ledger:audit")
	f.BoolVar(&c.auditReads, "audit-reads", false, "record who reads what through the API; a read that cannot be recorded is refused")
	f.StringVar(&c.readsKept, "audit-reads-retention", "90d", "how long recorded reads are kept, the same on every node: 1h or more, such as 90d")
	f.StringVar(&c.dialects, "dialects", dialectNames(), "vendors' APIs to serve beside the native one, with commas; none turns all off")
	f.StringVar(&c.imtegrateOrg, "imtegrate-default-org", "", "org of callers of Imtegrate's routes whose key has none and who name none in X-Org-Id")
	f.BoolVar(&c.agentexOpen, "agentex-open", false, "manage the keys of Agentex's agents without a token, from this machine; needs --http on loopback")
	f.BoolVar(&c.webhookPrivate, "webhook-allow-private", false, "let webhooks lead to private and loopback addresses, and to http")
	f.StringVar(&c.webhookWaits, "webhook-schedule", "5s,5m,30m,2h,5h,10h,14h,20h,24h", "waits before each further attempt to deliver an event to a webhook")
	f.DurationVar(&c.drain, "drain", 0, "how long the server goes on serving when it is told to stop, not ready, so that balancers turn away; 0 is 3s with --nats or --cluster-name, else none")
	f.DurationVar(&c.shutdownTimeout, "shutdown-timeout", 30*time.Second, "how long running requests may take when the server stops")
	f.StringVar(&c.logFormat, "log-format", "text", "form of the log on standard error: text or json")
	f.TextVar(&c.logLevel, "log-level", slog.LevelInfo, "least level that is logged: debug, info, warn or error")
}

// check validates the configuration before anything is started, and reads the secrets that are in files.
func (c *config) check() error {
	var err error
	if c.rootToken, err = secretOf("root-token", c.rootToken, c.rootTokenFile); err != nil {
		return err
	}
	if c.secret, err = secretOf("secret", c.secret, c.secretFile); err != nil {
		return err
	}
	if c.honchoSecret, err = secretOf("honcho-jwt-secret", c.honchoSecret, c.honchoSecretFile); err != nil {
		return err
	}
	if c.signingKey, err = secretOf("signing-key", c.signingKey, c.signingKeyFile); err != nil {
		return err
	}
	if c.calloutSeed, err = secretOf("nats-auth-callout-seed", c.calloutSeed, c.calloutSeedFile); err != nil {
		return err
	}
	if err := errors.Join(c.checkAddresses(), c.checkNATS(), c.checkSecrets(), c.checkRest()); err != nil {
		return &usageError{err}
	}
	return nil
}

func (c *config) checkAddresses() error {
	var errs []error
	if _, _, err := net.SplitHostPort(c.http); err != nil {
		errs = append(errs, fmt.Errorf("--http: %w", err))
	}
	if (c.tlsCert == "") != (c.tlsKey == "") {
		errs = append(errs, errors.New("--tls-cert and --tls-key go together"))
	} else if c.tlsCert != "" {
		if _, err := tls.LoadX509KeyPair(c.tlsCert, c.tlsKey); err != nil {
			errs = append(errs, fmt.Errorf("--tls-cert, --tls-key: %w", err))
		}
	}
	if c.data == "" {
		errs = append(errs, errors.New("--data: a folder is needed"))
	}
	return errors.Join(errs...)
}

func (c *config) checkNATS() error {
	if c.replicas == 0 {
		c.replicas = 1
		if c.cluster.name != "" {
			c.replicas = clusterReplicas
		}
	}
	if c.nats == "" {
		return errors.Join(
			needs(c.natsCreds == "" && c.natsCA == "" && c.natsCert == "" && c.natsKey == "",
				"--nats-creds, --nats-ca, --nats-cert and --nats-key need --nats"),
			needs(c.calloutSeed == "" && c.natsSystem == "", "--nats-auth-callout-seed and --nats-system need --nats"),
			needs(c.diskReserve > 0 && c.diskReserve < 1<<40, "--disk-reserve: more than 0"),
			needs(c.replicas == 1 || c.cluster.name != "",
				"--replicas: the NATS in this process is one server; more need --nats or --cluster-name"),
			c.cluster.check(c),
			c.checkNATSListen(),
		)
	}
	return errors.Join(
		needs(c.cluster == clusterConfig{node: c.cluster.node}, "--cluster-name is for the NATS in this process: leave it out with --nats"),
		needs(c.calloutSeed == "" || jetstream.CheckCalloutSeed(c.calloutSeed) == nil,
			"--nats-auth-callout-seed: the seed of an account key, which begins with SA"),
		needs(c.natsListen == "", "--nats-listen is for the NATS in this process: leave it out with --nats"),
		needs(c.replicas == 1 || c.replicas == 3 || c.replicas == 5, "--replicas: 1, 3 or 5"),
		needs((c.natsCert == "") == (c.natsKey == ""), "--nats-cert and --nats-key go together"),
		needs(c.secret != "", "--secret: with --nats all nodes of the ledger must be given the same one"),
	)
}

func (c *config) checkNATSListen() error {
	if c.natsListen == "" {
		return nil
	}
	if _, _, err := net.SplitHostPort(c.natsListen); err != nil {
		return fmt.Errorf("--nats-listen: %w", err)
	}
	return nil
}

func (c *config) checkSecrets() error {
	rootToken := len(c.rootToken)
	return errors.Join(
		needs(c.secret == "" || len(c.secret) >= secretLeast, fmt.Sprintf("--secret: at least %d characters", secretLeast)),
		needs(rootToken == 0 || (rootToken >= ledger.MinToken && rootToken <= ledger.MaxToken),
			fmt.Sprintf("--root-token: %d to %d characters", ledger.MinToken, ledger.MaxToken)),
		needs(c.signingKey == "" || isSeed(c.signingKey), fmt.Sprintf("--signing-key: %d bytes in base64", ledger.SigningSeed)),
		needs(ledger.CheckPrefix(c.tokenPrefix) == nil, "--token-prefix: 1 to 16 of a-z, 0-9 and _"),
	)
}

func (c *config) checkRest() error {
	for _, network := range c.trusted {
		prefix, err := netip.ParsePrefix(network)
		if err != nil {
			return fmt.Errorf("--trusted-proxies: %w", err)
		}
		c.trustedProxies = append(c.trustedProxies, prefix)
	}
	var err error
	c.dialectList, err = parseDialects(c.dialects)
	return errors.Join(
		err,
		needs(ledger.CheckOwner(&ledger.Owner{Org: c.imtegrateOrg}) == nil,
			fmt.Sprintf("--imtegrate-default-org: at most %d bytes without control characters", ledger.MaxID)),
		c.checkAgentex(),
		c.parseNotices(),
		needs(c.firstUsedRate >= 0 && c.firstUsedRate <= maxFirstUsedRate, fmt.Sprintf("--first-used-rate: 0 to %d", maxFirstUsedRate)),
		c.parseWitnesses(),
		needs(c.authFailures >= 0, "--auth-failures: 0 or more"),
		needs(c.maxConnections > 0, "--max-connections: more than 0"),
		c.parseReads(),
		needs(c.name != "", "--name: not empty"),
		needs(!strings.ContainsFunc(c.origin, notInOrigin), "--origin: without spaces and +"),
		needs(c.maxStaleness > 0, "--max-staleness: more than 0"),
		needs(c.asOfEvents > 0, "--as-of-events: more than 0"),
		needs(c.verifyIndex == "memory" || c.verifyIndex == "disk", "--verify-index: memory or disk"),
		c.checkSchedule(),
		c.checkDrain(),
		needs(c.shutdownTimeout > 0, "--shutdown-timeout: more than 0"),
		needs(c.logFormat == "text" || c.logFormat == "json", "--log-format: text or json"),
	)
}

func (c *config) checkSchedule() error {
	for wait := range strings.SplitSeq(c.webhookWaits, ",") {
		d, err := time.ParseDuration(strings.TrimSpace(wait))
		if err != nil || d <= 0 {
			return errors.New("--webhook-schedule: waits such as 5s,5m,2h, each more than 0")
		}
		c.webhookSchedule = append(c.webhookSchedule, d)
	}
	return nil
}

// maxFirstUsedRate is above what a ledger can store.
const maxFirstUsedRate = 100_000

// parseNotices reads the horizons of expiry notices.
func (c *config) parseNotices() error {
	c.horizons = nil
	if c.expiryNotices == "" || c.expiryNotices == "none" {
		return nil
	}
	for text := range strings.SplitSeq(c.expiryNotices, ",") {
		var horizon span
		if err := horizon.Set(strings.TrimSpace(text)); err != nil {
			return fmt.Errorf("--expiry-notices: %w", err)
		}
		d := horizon.duration()
		if d <= 0 || d%time.Second != 0 {
			return fmt.Errorf("--expiry-notices: %q is not a number of whole seconds above 0", text)
		}
		c.horizons = append(c.horizons, d)
	}
	return nil
}

// needs is an error that says rule unless it is kept.
func needs(kept bool, rule string) error {
	if kept {
		return nil
	}
	return errors.New(rule)
}
