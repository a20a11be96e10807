package config

import (
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Writable is a folder to which the container may write, besides /tmp. It covers what the image has
// there.
type Writable struct {
	// absolute path; / makes the file system of the image writable as a whole
	Path string `yaml:"path" allowed:"~folder" short:"true"`
	// memory is faster and counts as memory of the task; disk is the task's own, and ends with it
	On   string `yaml:"on" allowed:"memory|disk"`
	Size int    `yaml:"size" allowed:"16..61440 MiB"` // of a folder in memory
}

// writableElement is the path of an element of writable, whose defaults are writableDefaults.
var writableElement = regexp.MustCompile(`^services\.[^.]+\.writable\.[0-9]+$`)

func writableDefaults() Writable { return Writable{On: "memory", Size: 64} }

// root is the path that stands for the whole file system of the image.
const root = "/"

var folderPath = form("folder", `^(/|(/[A-Za-z0-9._-]+)+)$`)

// WritesRoot reports whether the container may write to the file system of its image.
func (s Service) WritesRoot() bool {
	return slices.ContainsFunc(s.Writable, func(w Writable) bool { return w.Path == root })
}

// Folders returns the writable folders on memory or disk; not the root, which is no folder of its
// own.
func (s Service) Folders(on string) (folders []Writable) {
	for _, w := range s.Writable {
		if w.Path != root && w.On == on {
			folders = append(folders, w)
		}
	}
	return folders
}

// usesDisk reports whether a service has a folder on disk.
func (c *Config) usesDisk() bool {
	for _, s := range c.Services {
		if len(s.Folders("disk")) > 0 {
			return true
		}
	}
	return false
}

// inMemory returns the size of all folders in memory, in MiB.
func (s Service) inMemory() int {
	size := s.Scratch
	for _, w := range s.Folders("memory") {
		size += w.Size
	}
	return size
}

// takenFolders are those that something else is mounted at, with the reason.
var takenFolders = []struct{ path, reason string }{
	{"/tmp", "is writable already: scratch is its size"},
	{"/dev", "belongs to the kernel"},
	{"/proc", "belongs to the kernel"},
	{"/sys", "belongs to the kernel"},
	{"/certificates", "has the certificates of the database"},
	{"/managed-agents", "is for the agent of ECS Exec"},
	{"/var/lib/amazon/ssm", "is for the agent of ECS Exec"},
	{"/var/log/amazon/ssm", "is for the agent of ECS Exec"},
}

func (c checker) writable(s Service) {
	for i, w := range s.Writable {
		c := c.at("writable", strconv.Itoa(i))
		valid := folderPath.MatchString(w.Path) && path.Clean(w.Path) == w.Path
		c.want(valid, "path", "want an absolute path such as /app/static, of letters, digits and ._-, have %q", w.Path)
		defaults := writableDefaults()
		c.want(w.Path != root || w.On == defaults.On && w.Size == defaults.Size, "",
			"want no on and no size with /: the file system of the image is on the task's disk")
		for _, taken := range takenFolders {
			c.want(!within(w.Path, taken.path), "path", "%s %s", taken.path, taken.reason)
		}
		for j, other := range s.Writable {
			c.want(i == j || other.Path == root || !within(w.Path, other.Path) || i < j && w.Path == other.Path, "path",
				"is in %s, which is writable already", other.Path)
		}
	}
	c.want(len(s.Folders("memory")) == 0 || s.inMemory() <= s.Memory/2, "writable",
		"want at most half of %s (%d) for /tmp and the folders in memory together, have %d: make them smaller, "+
			"put one on disk, or raise memory", c.full("memory"), s.Memory/2, s.inMemory())
}

// within reports whether a path is a folder or in it.
func within(path, folder string) bool {
	return path == folder || folder != root && strings.HasPrefix(path, folder+"/")
}

func (w warner) writable(s Service) {
	for i, folder := range s.Writable {
		w := w.at("writable", strconv.Itoa(i))
		w.warn(folder.Path == root, "", "whoever gets into the container can change its programs, and AWS Security "+
			"Hub reports it (ECS.5): want only the folders that the application writes to")
		w.idle(folder.On == "memory", "on disk, where all folders share the space of the task", "size")
	}
}

// container checks what a container may do besides the usual.
func (c checker) container(s Service) {
	c.want(len(s.Entrypoint) == 0 || len(s.Command) > 0, "command",
		"is required with %s, because ECS then ignores the command of the image", c.full("entrypoint"))
	user, err := strconv.ParseInt(s.User, 10, 32)
	c.want(userName.MatchString(s.User) && (err == nil && user >= 0 || s.User == ImageUser), "user",
		"want a numeric user ID in quotes, at most 2147483647, or image for the user of the image, have %q", s.User)
	c.writable(s)
}

// container warns of what makes a container less safe.
func (w warner) container(s Service) {
	w.warn(s.User == RootUser, "user", "the application is root in its container, and keeps the kernel's capabilities "+
		"that it needs to change users and owners: want another user, or image")
	w.writable(s)
}
