#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What virtme-ng's init runs in a guest: lays the images over the host's files, loads the modules, makes that the
# root, runs the command there, and leaves results and status in files. Arguments: the directory of the run's
# own files, which holds `inside.env`, written by harness/kernels/guest.py.
set -u
. "$1/inside.env" # RELEASE SHARE MODULES BOOT_MODULES TESTBED_MODULES WANTED_MODULES KEEP MASKED WRITABLE RESULTS COMMAND
umask 022
export PATH="$GUEST_PATH"

stage() { read -r up _ </proc/uptime; echo "$up $*" >>"$SHARE/progress"; }

# One line for the host, and the end.
give_up() { echo "$*" >"$SHARE/trouble"; stage trouble; sync; exit 1; }

load() {
    [ -n "$MODULES" ] || return 0
    modprobe -d "$MODULES" -a "$@" 2>>"$SHARE/modprobe"
}

disk() {
    for device in /sys/block/vd*; do
        if [ -e "$device/serial" ] && [ "$(cat "$device/serial")" = "$1" ]; then
            echo "/dev/${device##*/}"
            return 0
        fi
    done
    return 1
}

lay() {
    device=$(disk "$1") || give_up "no disk $1: has the kernel CONFIG_VIRTIO_BLK?"
    mkdir -p "/run/hostroute/$1"
    mount -t ext4 -o ro,noatime "$device" "/run/hostroute/$1" ||
        give_up "the image $1 cannot be mounted: has the kernel CONFIG_EXT4_FS?"
}

stage up
load $BOOT_MODULES
root=/run/hostroute/root
mkdir -p /run/hostroute/upper "$root"
lay host
lay checkout
# What is written goes to memory and is gone with the guest.
mount -t tmpfs -o "size=$WRITABLE,mode=755" upper /run/hostroute/upper || give_up "no tmpfs in the guest"
mkdir /run/hostroute/upper/files /run/hostroute/upper/work
lower=/run/hostroute/checkout:/run/hostroute/host:/
options="lowerdir=$lower,upperdir=/run/hostroute/upper/files,workdir=/run/hostroute/upper/work"
mount -t overlay -o "$options" root "$root" || give_up "no overlay in the guest: has the kernel CONFIG_OVERLAY_FS?"

# Directories that are the guest's own, and what of the host's is wanted inside them all the same.
mkdir -p /run/hostroute/all
mount --bind "$root" /run/hostroute/all
for directory in $MASKED; do
    mkdir -p "$root$directory"
    mount -t tmpfs -o mode=1777 tmpfs "$root$directory"
done
for directory in $KEEP; do
    mkdir -p "$root$directory"
    mount --bind "/run/hostroute/all$directory" "$root$directory"
done
if [ -n "$RESULTS" ]; then
    mkdir -p "$SHARE/results" "$root$RESULTS"
    mount --bind "$SHARE/results" "$root$RESULTS"
fi
mkdir -p "$root$SHARE" # after the results: by default it lies below them
mount --bind "$SHARE" "$root$SHARE"
mount -t tmpfs -o mode=755 run "$root/run"
for directory in proc sys dev; do
    mkdir -p "$root/$directory"
    mount --rbind "/$directory" "$root/$directory"
done
if [ -n "$MODULES" ] && [ "$MODULES" != / ]; then # the host's own are there
    # The kernel loads on demand what is not in the table: it looks below /lib/modules.
    mkdir -p "$root/lib/modules"
    rm -rf "$root/lib/modules/$RELEASE"
    ln -s "$MODULES/lib/modules/$RELEASE" "$root/lib/modules/$RELEASE"
fi
# A root, not a chroot: in a chroot there are no user namespaces.
cd "$root" || give_up "no root in the guest"
mkdir -p run/hostroute/before
pivot_root . run/hostroute/before || give_up "the root cannot be changed"
cd / || exit 1
umount -l /run/hostroute/before /run/hostroute/all 2>/dev/null
stage root

load $TESTBED_MODULES || give_up "modules cannot be loaded: $(tail -n 3 "$SHARE/modprobe" | tr '\n' ' ')"
load -q $WANTED_MODULES
[ -s "$SHARE/modprobe" ] || rm -f "$SHARE/modprobe"
stage inside

eval "$COMMAND"
status=$?

stage ended
dmesg >"$SHARE/kernel.log"
# A file that is full keeps its tests from failing for reasons of their own.
df -P / 2>/dev/null | tail -n 1 | grep -q ' 100% ' && echo full >"$SHARE/full"
echo "$status" >"$SHARE/status.new" && mv "$SHARE/status.new" "$SHARE/status"
stage written
sync
# virtme-ng's init would run the host's `poweroff`. Where that is systemd's, it waits for a service manager that is
# not there.
busybox poweroff -f
