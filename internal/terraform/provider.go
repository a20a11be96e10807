package terraform

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// findProvider returns the environment with which terraform finds the provider, and a description
// of where the provider comes from.
func (m *machine) findProvider(scratch string) (env []string, source string, err error) {
	if file := m.usersConfig(); file != "" {
		return []string{"TF_CLI_CONFIG_FILE=" + file}, "as configured in " + file, nil
	}

	var config string
	if mirror := m.findMirror(); mirror != "" {
		source = "from " + mirror
		config = fmt.Sprintf(`provider_installation {
  filesystem_mirror {
    path    = %s
    include = [%q]
  }
  direct {
    exclude = [%q]
  }
}
`, strconv.Quote(mirror), provider, provider)
		// Turn the plugin cache off, which cdktf would turn on. A mirror needs no cache, and may be
		// the cache itself: terraform fails if both are the same folder.
		env = append(env, "TF_PLUGIN_CACHE_DIR=", "CDKTF_DISABLE_PLUGIN_CACHE_ENV=1")
	} else {
		source = "from the Terraform Registry"
		// Explicit, because by default terraform does not ask the registry for a provider if it
		// finds any other version of it on this machine.
		config = "provider_installation {\n  direct {}\n}\n"
		if cache := m.pluginCache(); cache != "" {
			// Terraform fails on a cache folder that does not exist.
			if err := os.MkdirAll(cache, 0o755); err != nil {
				return nil, "", err
			}
			env = append(env, "TF_PLUGIN_CACHE_DIR="+cache)
		}
	}

	file := filepath.Join(scratch, "terraform.rc")
	if err := writeFile(file, "# Written by internal/terraform on every run.\n"+config); err != nil {
		return nil, "", err
	}
	return append(env, "TF_CLI_CONFIG_FILE="+file), source, nil
}

// usersConfig returns the path of the user's CLI configuration; "" without one. It may contain
// credentials or a mirror, so it is used unchanged.
func (m *machine) usersConfig() string {
	file := m.getenv("TF_CLI_CONFIG_FILE")
	if file == "" && m.home != "" {
		file = filepath.Join(m.home, ".terraformrc")
	}
	if file == "" || !isFile(file) {
		return ""
	}
	if absolute, err := filepath.Abs(file); err == nil { // terraform runs in another folder
		file = absolute
	}
	return file
}

// pluginCache returns the folder that caches downloaded providers.
func (m *machine) pluginCache() string {
	if dir := m.getenv("TF_PLUGIN_CACHE_DIR"); dir != "" {
		if absolute, err := filepath.Abs(dir); err == nil {
			return absolute
		}
	}
	if m.cache == "" {
		return ""
	}
	return filepath.Join(m.cache, "plugins")
}

// findMirror returns the first folder that contains the provider for this platform in a layout of
// terraform's mirrors.
func (m *machine) findMirror() string {
	var exact []string
	if m.home != "" {
		exact = append(exact,
			filepath.Join(m.home, ".terraform.d", "plugins"),
			filepath.Join(m.home, "Library", "Application Support", "io.hashicorp.terraform", "plugins"),
		)
		if m.getenv("XDG_DATA_HOME") == "" {
			exact = append(exact, filepath.Join(m.home, ".local", "share", "terraform", "plugins"))
		}
	}
	shared := filepath.SplitList(m.getenv("XDG_DATA_DIRS"))
	for _, folder := range append([]string{m.getenv("XDG_DATA_HOME")}, shared...) {
		if folder != "" {
			exact = append(exact, filepath.Join(folder, "terraform", "plugins"))
		}
	}
	if cache := m.pluginCache(); cache != "" {
		exact = append(exact, cache)
	}
	if m.home != "" {
		exact = append(exact, filepath.Join(m.home, ".terraform.d", "plugin-cache")) // cdktf's
	}
	for _, folder := range exact {
		if filepath.IsAbs(folder) && m.holdsProvider(folder) {
			return folder
		}
	}

	for _, folder := range m.shared {
		for _, levels := range []string{"", "*", "*/*"} {
			found, err := filepath.Glob(filepath.Join(folder, levels, provider))
			if err != nil {
				continue
			}
			for _, f := range found {
				mirror := strings.TrimSuffix(f, string(filepath.Separator)+filepath.FromSlash(provider))
				if m.holdsProvider(mirror) {
					return mirror
				}
			}
		}
	}
	return ""
}

// holdsProvider follows links, because a plugin cache links to mirrors that may be deleted.
func (m *machine) holdsProvider(mirror string) bool {
	folder := filepath.Join(mirror, filepath.FromSlash(provider))
	platform := m.goos + "_" + m.goarch
	packed := filepath.Join(folder, fmt.Sprintf("terraform-provider-aws_%s_%s.zip", ProviderVersion, platform))
	if isFile(packed) {
		return true
	}
	entries, err := os.ReadDir(filepath.Join(folder, ProviderVersion, platform))
	if err != nil {
		return false
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "terraform-provider-aws_v"+ProviderVersion) && !e.IsDir() {
			return true
		}
	}
	return false
}
