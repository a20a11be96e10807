# Runs a program under the limits of a container: sh confine.sh FOLDER PROGRAM ARGUMENT..., as root in namespaces of its
# own for mounts, processes and the network (unshare --mount --pid --fork --net). The environment has the rest:
#   IMAGE       folder that is copied to /app
#   PYTHON      folder of this machine with Python, which the program can only read
#   PACKAGES    folder with Python packages, which becomes /packages
#   TMPFS       a line for each folder in memory: path, size in MiB, options
#   DISK        a line for each folder on disk: path in the container, path in the one that opens it
#   OPENER      what the container that opens the folders on disk runs, if there is one
#   READ_ONLY   true if the program cannot write to its image
#   RUN_AS, DROP   user, and the capabilities to drop, as setpriv spells them
#   PORTS       first port that needs no capability; empty: Linux's
#   FILES       limit of open files; empty: this machine's
set -eu
root=$1
shift
mount --make-rprivate /
mount -t tmpfs -o mode=755 image "$root"
show() {
	mkdir -p "$root$2"
	mount --bind "$1" "$root$2"
	mount -o remount,bind,ro "$root$2"
}
for folder in /bin /etc /lib /lib64 /usr "$PYTHON"; do
	[ ! -e "$folder" ] || show "$folder" "$folder"
done
show "$PACKAGES" /packages
mkdir -p "$root/app" "$root/dev" "$root/proc" "$root/tmp"
cp -R "$IMAGE/." "$root/app"
chmod -R a+rX "$root/app"
mount -t proc proc "$root/proc"
for device in null urandom; do
	touch "$root/dev/$device"
	mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/shm"
mount -t tmpfs -o mode=1777 shm "$root/dev/shm"

printf '%s' "$TMPFS" | while read -r path size options; do
	mkdir -p "$root$path"
	mount -t tmpfs -o "size=${size}m,$options" memory "$root$path"
done
printf '%s' "$DISK" | while read -r path opened; do
	mkdir -p "$root$path" "$root$opened"
	mount -t tmpfs -o mode=755 disk "$root$opened" # as ECS creates a volume
	mount --bind "$root$opened" "$root$path"
done
if [ -n "$OPENER" ]; then
	chroot "$root" setpriv --bounding-set=-all --inh-caps=-all /bin/sh -c "$OPENER"
fi

ip link set lo up
[ -z "$PORTS" ] || echo "$PORTS" >/proc/sys/net/ipv4/ip_unprivileged_port_start
[ -z "$FILES" ] || ulimit -n "$FILES"
[ "$READ_ONLY" != true ] || mount -o remount,ro "$root"
exec chroot "$root" setpriv --reuid="$RUN_AS" --regid="$RUN_AS" --clear-groups --bounding-set="$DROP" --inh-caps=-all \
	"$@"
