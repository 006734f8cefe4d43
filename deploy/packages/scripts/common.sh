# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# What the scripts of all packages begin with. tools/artifacts/packages.py puts it in the place of @COMMON@, and values where names stand.

package=@PACKAGE@
# The directory of Python's modules, and the Python that runs them; empty where there are none.
library=@LIBRARY@
interpreter=@INTERPRETER@
# Units that start at boot; of these, those whose process makes way for the next one by a reload; and those that somebody else may enable.
enabled="@ENABLED@"
reloaded="@RELOADED@"
optional="@OPTIONAL@"
# Another root directory: dpkg(1), --force-script-chrootless.
root=${DPKG_ROOT:-}

say() {
    printf '%s: %s\n' "$package" "$*" >&2
}

# Whether the collection accel.qat has a unit of this name of its own, which hides the one of the package.
of_collection() {
    grep -qs '^# Managed by accel\.qat' "$root/etc/systemd/system/$1" "$root/run/systemd/system/$1"
}

# Whether a pod is the node's device plugin, by the lock that it has. It uses the same files.
of_a_pod() {
    grep -qs '"deployment": "daemonset"' "$root"/run/accel-qat/device-plugin/*.lock
}

systemd_runs() {
    [ -n "$enabled" ] && [ -d "$root/run/systemd/system" ]
}

# The services may not write below /usr, so that otherwise each start would compile again. Without byte code they start slower.
make_byte_code() {
    [ -z "$library" ] || "$interpreter" -I -m compileall -q "$root$library" || true
}

forget_byte_code() {
    [ -z "$library" ] || [ ! -d "$root$library" ] || find "$root$library" -depth -name __pycache__ -type d -exec rm -rf {} +
}

# Whether the administrator's policy lets a package do this to a unit: Debian's policy 9.3.3, whose program forbids by 101.
allowed() {
    policy=$root/usr/sbin/policy-rc.d
    answer=0
    [ ! -x "$policy" ] || "$policy" "$1" "$2" > /dev/null || answer=$?
    [ "$answer" -eq 101 ] || return 0
    if systemctl --quiet is-active "$1"; then
        say "/usr/sbin/policy-rc.d forbids it, so the running process of $1 stays; run systemctl $2 $1"
    fi
    return 1
}

# Have the new files run in place of those that ran, without a moment in which kubelet has no process of ours.
take_over() {
    for unit in $reloaded; do
        of_collection "$unit" && continue
        case $(systemctl show --property=ActiveState --value "$unit") in
            active)
                ! allowed "$unit" reload || systemctl reload "$unit" ||
                    say "the process of the former version goes on, since the new one did not take over;" \
                        "see journalctl -u $unit, then run systemctl restart $unit"
                ;;
            inactive | failed)
                if [ -e "$root/etc/accel-qat/node.json" ] && systemctl --quiet is-enabled "$unit"; then
                    say "$unit does not run; run systemctl start $unit"
                fi
                ;;
            activating) ! allowed "$unit" restart || systemctl restart --no-block "$unit" || true ;;
            *) ;;
        esac
    done
    for unit in $optional; do
        of_collection "$unit" || ! allowed "$unit" try-restart || systemctl try-restart --no-block "$unit" || true
    done
}

say_whose_it_is() {
    say "the collection accel.qat has set up $1, which goes on with its files; what hands it to this package is in" \
        "https://github.com/accel-qat/accel.qat/blob/main/docs/packages.md"
}

stop_services() {
    for unit in $enabled $optional; do
        of_collection "$unit" || ! allowed "$unit" stop || systemctl stop "$unit" || true
    done
}

# Directories, if they are empty and nothing is mounted there.
remove_empty() {
    for directory in "$@"; do
        [ ! -d "$root$directory" ] || rmdir --ignore-fail-on-non-empty "$root$directory" || true
    done
}

# What the services made outside of the package's files. Of directories those that are empty: others use them too.
forget_what_was_made() {
    case "$enabled" in
        *device-plugin*) of_collection "$enabled" && return 0 ;;
        *) return 0 ;;
    esac
    if ! of_a_pod; then
        [ ! -d "$root/run/cdi" ] || find "$root/run/cdi" -maxdepth 1 -regextype posix-extended -regex '.*/@SPECIFICATIONS@' -delete || true
        rm -rf "$root/run/accel-qat/device-plugin" "$root@LABELS@"
    fi
    of_collection accel-qat-exporter.service || rm -rf "$root/run/accel-qat/exporter"
    remove_empty /run/accel-qat /var/lib/kubelet/device-plugins/.accel-qat /var/lib/kubelet/device-plugins /var/lib/kubelet
}
