# Runs one scenario of the lab where nothing is seen of the machine that runs it: its processes, its network, its name,
# its units and its paths. Run in namespaces of its own by `cargo xtask corpus`.
#   stage.sh BUILD-DIRECTORY TEST-PROGRAM SCENARIO OUTPUT-DIRECTORY
set -eu
build=$1 program=$2 scenario=$3 out=$4
stage=/opt/why502
hostname web1
ip link set lo up

mount -t tmpfs -o mode=755 tmpfs /opt
mkdir -p $stage/target/debug $stage/target/lab $stage/out
cp "$build/CACHEDIR.TAG" $stage/target/
mount --bind "$build/debug" $stage/target/debug
mount --bind "$out" $stage/out
for root in "$build"/lab/rootfs-*; do
    mkdir "$stage/target/lab/${root##*/}"
    mount --bind "$root" "$stage/target/lab/${root##*/}"
done
# The first line of a Python program names the interpreter by its whole path.
venv=$(readlink -f "$build/lab/venv")
cp -a "$venv" $stage/target/lab/venv
grep -rlIF "$venv" $stage/target/lab/venv/bin $stage/target/lab/venv/pyvenv.cfg | xargs -r sed -i "s|$venv|$stage/target/lab/venv|g"

# Debian's own interpreter, where another made it.
ln -sf /usr/bin/python3 $stage/target/lab/venv/bin/python3

printf '127.0.0.1 localhost\n::1 localhost\n' > $stage/hosts
printf 'nameserver 127.0.0.1\n' > $stage/resolv.conf
mount --bind $stage/hosts /etc/hosts
mount --bind $stage/resolv.conf /etc/resolv.conf
for accounts in passwd group; do
    awk -F: '$3 <= 100 || $3 == 65534' /etc/$accounts > $stage/$accounts
    mount --bind $stage/$accounts /etc/$accounts
done
for hidden in /etc/systemd/system /var/log /run /root /home; do
    mount -t tmpfs -o mode=755 tmpfs $hidden
done
mkdir /var/log/nginx
mount -t tmpfs -o mode=1777 tmpfs /tmp
cd /
export WHY502_LAB_CORPUS=$stage/out HOME=/root
exec "$stage/target/debug/deps/${program##*/}" --exact "$scenario" --nocapture --test-threads=1
