#!/bin/bash
# A real S3 server on loopback for the tests: one monitor, one store in memory, one gateway.
# apt-get install -y --no-install-recommends radosgw ceph-mon ceph-osd ceph-common
set -e
D=${D:?a new empty directory for the server}; PORT=${PORT:-7480}; STORE=${STORE:-memstore}
mkdir -p $D/{mon,osd,rgw,run,log}
FSID=$(cat /proc/sys/kernel/random/uuid)
cat > $D/ceph.conf <<C
[global]
fsid = $FSID
mon host = [v2:127.0.0.1:${MON_PORT:?}]
mon initial members = a
public network = 127.0.0.0/8
cluster network = 127.0.0.0/8
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
osd pool default size = 1
osd pool default min size = 1
osd crush chooseleaf type = 0
osd pool default pg num = 8
osd pool default pgp num = 8
osd pool default pg autoscale mode = off
mon allow pool size one = true
mon warn on pool no redundancy = false
mon max pg per osd = 2000
mon pg warn min per osd = 0
keyring = $D/keyring
run dir = $D/run
admin socket = $D/run/\$name.asok
log file = $D/log/\$name.log
pid file = $D/run/\$name.pid
crash dir = $D/log
[mon]
mon data = $D/mon/\$id
mon data avail crit = 1
mon data avail warn = 2
auth allow insecure global id reclaim = false
[osd]
osd data = $D/osd/\$id
osd objectstore = $STORE
memstore device bytes = 17179869184
osd class load list = *
osd memory target = 939524096
[client.rgw.a]
rgw data = $D/rgw
# without it each answer waits 40 ms for the client's acknowledgement
rgw frontends = beast endpoint=127.0.0.1:$PORT tcp_nodelay=1
rgw dns name = localhost
rgw thread pool size = 32
# what was deleted is freed at once: it lies in memory
rgw gc obj min wait = 1
rgw gc processor period = 2
rgw gc processor max time = 2
C
export CEPH_CONF=$D/ceph.conf
K=$D/keyring
ceph-authtool --create-keyring $K --gen-key -n mon. --cap mon 'allow *'
ceph-authtool $K --gen-key -n client.admin --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *'
ceph-authtool $K --gen-key -n osd.0 --cap mon 'allow profile osd' --cap osd 'allow *'
ceph-authtool $K --gen-key -n client.rgw.a --cap mon 'allow rwx' --cap osd 'allow rwx'
monmaptool -c $D/ceph.conf --create --fsid $FSID --addv a "[v2:127.0.0.1:$MON_PORT]" $D/monmap
ceph-mon -c $D/ceph.conf --mkfs -i a --monmap $D/monmap --keyring $K
ceph-mon -c $D/ceph.conf -i a --public-addr 127.0.0.1
OSDUUID=$(cat /proc/sys/kernel/random/uuid)
# the monitor may not be up yet; the same command again changes nothing
for i in $(seq 60); do timeout 20 ceph -c $D/ceph.conf osd new $OSDUUID >/dev/null 2>&1 && break; sleep 0.1; done
mkdir -p $D/osd/0
[ $STORE = bluestore ] && truncate -s 8G $D/osd/0/block
ceph-osd -c $D/ceph.conf -i 0 --mkfs --osd-uuid $OSDUUID --keyring $K
ceph-osd -c $D/ceph.conf -i 0
radosgw -c $D/ceph.conf -n client.rgw.a
for i in $(seq 120); do curl -sf http://127.0.0.1:$PORT/ >/dev/null && break; sleep 0.1; done
radosgw-admin -c $D/ceph.conf user create --uid=test --display-name=test --access-key=${ACCESS_KEY:-testkey} --secret-key=${SECRET_KEY:-testsecret} >/dev/null
ls $D/run
# End it with the process ids in $D/run/*.pid.
