#pragma once
// The side of the workers: a job waits, between two steps and at its end, until every live node has
// acknowledged its version and no older transaction holds its objects (promise 5). What is waited
// for is a row of ddl_mdl_info, written with the step, so that it outlives the worker. The ideas:
// TiDB's metadata lock (mysql.tidb_mdl_info) and the F1
// paper, section 3.2. On the caller's session and thread; throws Error.

#include <optional>
#include <string>
#include <vector>

#include "base/ids.hpp"
#include "pg/session.hpp"

namespace lockkeeper::versions {

/// A node, or a transaction, that holds up a job.
struct Blocker {
  JobId job;
  std::int64_t version = 0;  ///< that it has not left the one before of
  double waited = 0;         ///< seconds that the job waits
  bool is_node = false;
  std::int64_t node = 0;
  std::string name;               ///< of the node, or of the prepared transaction
  std::int64_t node_version = 0;  ///< negative: it is still loading
  double lease_left = 0;          ///< seconds
  int pid = 0;                    ///< 0: prepared
  std::string role;
  std::string application;
  std::string state;  ///< of the transaction's backend
  double age = 0;     ///< of the transaction, seconds; 0: not to be seen
  std::string relation;
  std::string query;
  std::string action;     ///< of the job
  std::string job_state;  ///< and its state
  int step = 0;           ///< the last one that is done
};

/// "node api-3", "pid 77", "prepared transaction x".
std::string who(const Blocker& blocker);
/// "node api-3 (version 4 of 6)"; "pid 77, which holds locks on orders for 12 s (role app, …)".
std::string words_for(const Blocker& blocker);

/// Is the wait of `job`, which the caller has claimed, over? Then it is forgotten, and `acks` gets
/// the seconds that each node took to acknowledge.
bool is_synced(pg::Session& session, JobId job, std::vector<double>* acks = nullptr);

enum class OnTimeout { wait, pause, cancel };
/// What was asked for a job that waits.
struct Patience {
  double waited = 0;         ///< seconds
  std::int64_t timeout = 0;  ///< seconds; 0: none
  OnTimeout then = OnTimeout::wait;
  std::int64_t kill_after = 0;  ///< seconds; 0: nobody is killed
};
/// Empty: it does not wait.
std::optional<Patience> patience_of(pg::Session& session, JobId job);

/// Who holds up `job`, or any job; longest first.
std::vector<Blocker> blockers(pg::Session& session, std::optional<JobId> job);

/// Ends the backend of a transaction that holds up `job`. False: it is gone. Throws Error (42501)
/// when the caller's role may not.
bool kill(pg::Session& session, const Blocker& blocker);

struct Node {
  std::int64_t id = 0;
  std::string name;
  std::string role;
  std::int64_t version = 0;  ///< negative: it is still loading
  std::int64_t lag = 0;      ///< versions behind
  int pid = 0;               ///< of the session it is bound to; 0: of no one
  double lease = 0;          ///< seconds
  double lease_left = 0;
  std::optional<double> gone;  ///< seconds since its connection was found to be gone
  double age = 0;
  std::vector<JobId> holds_up;
};
std::vector<Node> nodes(pg::Session& session);
/// Jobs in the queue that need not wait for nodes and transactions any more are due now. Gives
/// their pools.
std::vector<std::string> wake_synced(pg::Session& session);
/// Fences a node, as its own role or as the owner of the queue. False: there is no such node.
bool remove_node(pg::Session& session, std::int64_t node);
/// Are there any? For everybody who may use the queue.
bool any_nodes(pg::Session& session);

struct Buried {
  std::int64_t node = 0;
  std::string name;
  std::string why;
};
/// Forgets nodes that do not live any more; from now on they are fenced.
std::vector<Buried> bury_nodes(pg::Session& session);

}  // namespace lockkeeper::versions
