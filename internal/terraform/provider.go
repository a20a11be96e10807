package terraform

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// findProvider returns the environment that lets terraform find the provider, and in words where
// that is.
func (m *machine) findProvider(scratch string) (env []string, source string, err error) {
	if file := m.usersConfig(); file != "" {
		return []string{"TF_CLI_CONFIG_FILE=" + file}, "as " + file + " says", nil
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
		// The copy needs no cache in front of it, and may be the cache: terraform refuses to
		// "install" a folder "to itself". cdktf would turn one on.
		env = append(env, "TF_PLUGIN_CACHE_DIR=", "CDKTF_DISABLE_PLUGIN_CACHE_ENV=1")
	} else {
		source = "from its registry"
		// Said outright: by default terraform asks no registry for a provider of which it finds any
		// other version here.
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
	if err := writeFile(file, "# Written by internal/terraform, anew each time.\n"+config); err != nil {
		return nil, "", err
	}
	return append(env, "TF_CLI_CONFIG_FILE="+file), source, nil
}

// usersConfig returns the configuration that terraform would read by itself, if there is one: it
// may hold credentials or a mirror that we know nothing of, so it stays as it is.
func (m *machine) usersConfig() string {
	file := m.getenv("TF_CLI_CONFIG_FILE")
	if file == "" && m.home != "" {
		file = filepath.Join(m.home, ".terraformrc")
	}
	if file == "" || !isFile(file) {
		return ""
	}
	if absolute, err := filepath.Abs(file); err == nil { // terraform runs in another folder than we do
		file = absolute
	}
	return file
}

// pluginCache is where a downloaded provider is kept, and found the next time.
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

// findMirror returns the first folder that holds the provider for this machine in a layout that
// terraform knows.
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

// holdsProvider also looks behind a link, since a plugin cache links to mirrors that may be gone.
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
