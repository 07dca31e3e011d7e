#!/bin/bash
# start.sh [--accounting]: start a Slurm of one node on this machine (as root; no systemd needed). stop.sh ends it.
#   apt-get install -y --no-install-recommends slurmctld slurmd slurm-client munge   [slurmdbd mariadb-server]
# Refuses to touch a Slurm that it did not set up. Says on stderr what it could not do, and leaves nothing running then.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
dir=${ALERTGRID_SLURM_DIR:-/var/tmp/alertgrid-slurm}
etc=/etc/slurm
host=$(hostname -s)
mark='^ClusterName=alertgrid_test$'

fail() { echo "start.sh: $*" >&2; exit 1; }
# wait_for TENTHS COMMAND...: repeat a command until it succeeds.
wait_for() {
  local tenths=$1; shift
  for _ in $(seq "$tenths"); do "$@" >/dev/null 2>&1 && return 0; sleep 0.1; done
  return 1
}

[ "$(id -u)" = 0 ] || fail "needs root"
for program in munged slurmctld slurmd squeue; do command -v $program >/dev/null || fail "$program is not installed"; done
if [ -e $etc/slurm.conf ] && ! grep -qs "$mark" $etc/slurm.conf; then fail "$etc/slurm.conf belongs to another cluster"; fi

# Somebody else's tests may be using it.
if [ -s "$dir/slurmctld.pid" ] && [ "$(ps -o stat= -p "$(cat "$dir/slurmctld.pid")" | cut -c1)" != Z ] \
  && kill -0 "$(cat "$dir/slurmctld.pid")" 2>/dev/null; then
  fail "the test cluster runs already; stop.sh ends it"
fi

trap '"$here/stop.sh"' ERR
mkdir -p "$dir/state" "$dir/spool" $etc /run/munge /var/log/munge

# Authentication. The key is made once; a munged that runs already is used and left running.
chown munge: /run/munge /var/log/munge
if [ ! -s /etc/munge/munge.key ]; then
  (umask 077; head -c 128 /dev/urandom > /etc/munge/munge.key)
  chown munge: /etc/munge/munge.key
fi
if ! munge -n >/dev/null 2>&1; then
  setpriv --reuid=munge --regid=munge --clear-groups munged
  touch "$dir/started-munged"
  wait_for 50 munge -n
fi

# Accounting, for the few questions that only sacct answers.
accounting='AccountingStorageType=accounting_storage/none'
if [ "${1:-}" = --accounting ]; then
  command -v slurmdbd mariadbd >/dev/null || fail "slurmdbd and mariadb-server are not installed"
  accounting='AccountingStorageType=accounting_storage/slurmdbd\nAccountingStorageHost=127.0.0.1\nAccountingStoragePort=26819\nAccountingStorageTRES=gres/gpu\nAccountingStoreFlags=job_comment'
  database="$dir/database"
  [ -d "$database/mysql" ] || mariadb-install-db --no-defaults --user=root --datadir="$database" --skip-test-db \
    --auth-root-authentication-method=normal > "$dir/database.log" 2>&1
  mariadbd --no-defaults --user=root --datadir="$database" --socket="$dir/database.sock" --pid-file="$dir/mariadb.pid" \
    --bind-address=127.0.0.1 --port=26306 --innodb-buffer-pool-size=64M --innodb-lock-wait-timeout=900 \
    --innodb-flush-log-at-trx-commit=0 --skip-name-resolve >> "$dir/database.log" 2>&1 &
  disown
  wait_for 300 mariadb-admin --no-defaults --socket="$dir/database.sock" ping
  mariadb --no-defaults --socket="$dir/database.sock" -e "CREATE DATABASE IF NOT EXISTS slurm_acct_db;
    CREATE USER IF NOT EXISTS slurm@'127.0.0.1' IDENTIFIED BY 'slurm'; GRANT ALL ON slurm_acct_db.* TO slurm@'127.0.0.1';"
  (umask 077; cat > $etc/slurmdbd.conf <<END
AuthType=auth/munge
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort=26819
SlurmUser=root
LogFile=$dir/slurmdbd.log
PidFile=$dir/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=26306
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct_db
END
  )
fi

# GPUs: Slurm wants character devices; a second null device each will do.
for number in 0 1 2 3 4 5 6 7; do [ -e "$dir/gpu$number" ] || mknod "$dir/gpu$number" c 1 3; done
echo "Name=gpu Type=fake File=$dir/gpu[0-7]" > $etc/gres.conf
# The configuration must be in /etc/slurm: Snakemake's job steps lose SLURM_CONF.
sed -e "s|@HOST@|$host|g;s|@DIR@|$dir|g;s|@ACCOUNTING@|$accounting|" "$here/slurm.conf.in" > $etc/slurm.conf

if [ "${1:-}" = --accounting ]; then
  slurmdbd
  wait_for 300 sacctmgr --noheader list cluster
  # Each of these exists already when the database is used again.
  sacctmgr -i add cluster alertgrid_test > /dev/null || true
  sacctmgr -i add account lab cluster=alertgrid_test > /dev/null || true
  sacctmgr -i add user "$(id -un)" account=lab > /dev/null || true
fi
slurmctld
slurmd
idle() { [ "$(timeout 2 sinfo --noheader -o %T | sort -u)" = idle ]; }
wait_for 200 idle || { grep -hE 'fatal|error' "$dir"/slurm*.log | tail -5 >&2; "$here/stop.sh"; fail "the node does not become idle"; }
sinfo -o '%P %a %l %D %T %c %m %G'
