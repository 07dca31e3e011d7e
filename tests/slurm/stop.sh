#!/bin/bash
# stop.sh: cancel all jobs of the test cluster, stop the daemons that start.sh started, and remove its configuration.
# A slurm.conf without daemons would make every Slurm command, and Snakemake with it, wait for a time-out.
dir=${ALERTGRID_SLURM_DIR:-/var/tmp/alertgrid-slurm}
mark='^ClusterName=alertgrid_test$'

# A zombie still answers kill -0, since the first process of a container may never reap it.
alive() { local state; state=$(ps -o stat= -p "$1" 2>/dev/null) && [ "${state:0:1}" != Z ]; }
# end PIDFILE: end the process named in a file, gently at first.
end() {
  [ -s "$1" ] || return 0
  local pid; pid=$(cat "$1"); rm -f "$1"
  alive "$pid" || return 0
  kill "$pid"
  for _ in $(seq 100); do alive "$pid" || return 0; sleep 0.1; done
  kill -9 "$pid"
}

if [ -s "$dir/slurmctld.pid" ] && alive "$(cat "$dir/slurmctld.pid")" && grep -qs "$mark" /etc/slurm/slurm.conf; then
  timeout 10 scancel --me
  for _ in $(seq 75); do [ -z "$(timeout 2 squeue --noheader --states=running,completing,pending)" ] && break; sleep 0.2; done
fi
for daemon in slurmctld slurmd slurmdbd mariadb; do end "$dir/$daemon.pid"; done
[ -e "$dir/started-munged" ] && end /run/munge/munged.pid
if grep -qs "$mark" /etc/slurm/slurm.conf; then rm -f /etc/slurm/slurm.conf /etc/slurm/gres.conf /etc/slurm/slurmdbd.conf; fi
# The logs are kept until the next start, for whoever wants to know why a test failed.
rm -rf "${dir:?}/state" "$dir/spool" "$dir/started-munged"
true
