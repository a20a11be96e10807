package config

// What the tests outside of the package need besides its exported names: they use configtest, which imports this package.
var (
	DefaultConfig  = defaultConfig
	DefaultService = defaultService
	InYAML         = inYAML
	Shipped        = shipped
)

const Minimal = minimal
