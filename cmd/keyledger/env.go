package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

const envPrefix = "KEYLEDGER_"

// environment is the variables that are set and not empty.
type environment map[string]string

func newEnvironment(env []string) environment {
	e := environment{}
	for _, assignment := range env {
		name, value, _ := strings.Cut(assignment, "=")
		if value != "" {
			e[name] = value
		}
	}
	return e
}

// variable is the environment variable of a flag: KEYLEDGER_MAX_STALENESS for max-staleness.
func variable(flag string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// apply sets the flags that the command line did not give from their variables. A secret given on the command line,
// itself or as a file, leaves out both of its variables.
func (e environment) apply(flags *pflag.FlagSet) error {
	given := map[string]bool{}
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Changed {
			given[strings.TrimSuffix(f.Name, "-file")] = true
		}
	})
	var failed error
	flags.VisitAll(func(f *pflag.Flag) {
		value, ok := e[variable(f.Name)]
		if !ok || failed != nil || given[strings.TrimSuffix(f.Name, "-file")] {
			return
		}
		if err := flags.Set(f.Name, value); err != nil {
			failed = &usageError{fmt.Errorf("%s: %w", variable(f.Name), err)}
		}
	})
	return failed
}

// unknown lists the KEYLEDGER_ variables that no flag of these sets has, sorted: misspelt ones, most likely.
func (e environment) unknown(sets ...*pflag.FlagSet) []string {
	known := map[string]bool{}
	for _, flags := range sets {
		flags.VisitAll(func(f *pflag.Flag) { known[variable(f.Name)] = true })
	}
	var names []string
	for name := range e {
		if strings.HasPrefix(name, envPrefix) && !known[name] {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// secretOf gives a secret that was given itself or as the name of a file that holds it. name is that of its flag.
func secretOf(name, value, file string) (string, error) {
	if value != "" && file != "" {
		return "", &usageError{fmt.Errorf("give --%s or --%s-file, not both", name, name)}
	}
	if file == "" {
		return value, nil
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return "", &usageError{fmt.Errorf("--%s-file: %w", name, err)}
	}
	value = strings.TrimRight(string(content), "\r\n")
	if value == "" {
		return "", &usageError{fmt.Errorf("--%s-file: %s is empty", name, file)}
	}
	return value, nil
}
