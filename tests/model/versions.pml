/* The protocol of schema versions, small enough to be looked at whole: two nodes, two workers, crashes of workers, nodes
   that lose their lease. Checked by check.sh with spin.

   two_versions  no live node, and no transaction of one, is more than one version behind the database
   ends          whatever dies, the job comes to its end

   Seeded errors, each of which must be found:
   -DIGNORES_PINS  a node acknowledges before its older transactions have ended
   -DFORGETS       a worker that dies takes the wait with it, because it was nowhere but in its memory
   -DTWO_READS     a node that registers takes the version that it read before its row was there
   -DNO_FENCE      a node whose lease was over goes on as if nothing had happened */

#define NODES 2
#define STEPS 3
#define USES 2 /* transactions of each node */
#define DEATHS 2

byte version = 0;       /* ddl_schema_version */
byte steps = 0;         /* of the one job */
bool waiting = false;   /* a row of ddl_mdl_info */
bool claimed = false;   /* the job, by a worker */
byte deaths = 0;

bool row[NODES];        /* of ddl_node */
bool joined[NODES];     /* the node believes in its cache */
bool acked[NODES];      /* a row of ddl_node_ack for the version that is waited for */
byte loaded[NODES];     /* version of the cache */
byte pinned[NODES];     /* version of the transaction that runs, and one; 0: none runs */

#define behind(n) (joined[n] && (version > loaded[n] + 1 || (pinned[n] != 0 && version > pinned[n])))
#define holds_up(n) (row[n] && !acked[n])
#ifdef IGNORES_PINS
#define left_older(n) true
#else
#define left_older(n) (pinned[n] == 0 || pinned[n] == loaded[n] + 1)
#endif
#define over (steps == STEPS && !waiting)

ltl two_versions { [] !(behind(0) || behind(1)) }
ltl ends { <> over }

inline crash_perhaps() {
  if
  :: deaths < DEATHS ->
     atomic {
       deaths++;
#ifdef FORGETS
       waiting = false;
#endif
       claimed = false
     }
     goto again
  :: skip
  fi
}

active [2] proctype worker() {
again:
  do
  :: over -> break
  :: atomic { !over && !claimed -> claimed = true };
     crash_perhaps();
     if
     :: atomic { waiting && !holds_up(0) && !holds_up(1) -> waiting = false }
     :: waiting && (holds_up(0) || holds_up(1)) -> skip /* back to the queue */
     :: atomic { !waiting && steps < STEPS -> /* the step's transaction: it has the version's row */
          version++;
          steps++;
          waiting = row[0] || row[1];
          acked[0] = false;
          acked[1] = false
        }
        crash_perhaps()
     :: over -> skip
     fi;
     claimed = false
  od
}

proctype node(byte n) {
  byte uses = 0;
  byte known = 0;
  do
  :: over -> break
  /* register_node; then schema_version, which waits for a step that is being committed; then load */
  :: !row[n] && !joined[n] ->
#ifdef TWO_READS
     known = version;
#endif
     atomic { row[n] = true; acked[n] = false };
#ifndef TWO_READS
     known = version;
#endif
     atomic { row[n] -> loaded[n] = known; joined[n] = true }
  /* a transaction that relies on the cache */
  :: atomic { joined[n] && pinned[n] == 0 && uses < USES -> pinned[n] = loaded[n] + 1; uses++ }
  :: atomic { pinned[n] != 0 -> pinned[n] = 0 }
  /* a notification, or the heartbeat: what changed is loaded */
  :: atomic { joined[n] && row[n] && loaded[n] < version -> loaded[n] = version }
  /* an acknowledgement */
  :: atomic { joined[n] && row[n] && !acked[n] && loaded[n] == version && left_older(n) -> acked[n] = true }
  /* its lease is over, or its connection is gone: its row is deleted, and it knows by its own clock */
  :: atomic { row[n] && joined[n] && deaths < DEATHS ->
       deaths++;
       row[n] = false;
#ifndef NO_FENCE
       joined[n] = false;
       pinned[n] = 0
#endif
     }
  od
}

init { atomic { run node(0); run node(1) } }
