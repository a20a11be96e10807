package config

// What the tests outside of the package need besides its exported names: they use configtest, which
// imports this package.
var (
	InYAML  = inYAML
	Shipped = shipped
	IsCron  = isCron
	IsRate  = isRate
)

const Minimal = minimal

func DefaultConfig(name string) Config { return defaultConfig(profile(name)) }

func DefaultEgress() Egress { return egressDefaults() }

func DefaultWritable() Writable { return writableDefaults() }

func DefaultService(name string) Service { return serviceDefaults(profile(name)) }
