#pragma once
// What programs link to submit and follow schema changes; the CLI is a face over it. One session,
// one thread at a time. Throws InputError for bad input (nothing was queued) and Error for the
// rest.

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.hpp"
#include "jobs/steer.hpp"
#include "jobs/submit.hpp"
#include "jobs/view.hpp"
#include "parse/parser.hpp"
#include "pg/session.hpp"
#include "plan/foresee.hpp"
#include "plan/plan.hpp"
#include "trash/trash.hpp"
#include "versions/wait.hpp"

namespace lockkeeper::client {

using Json = nlohmann::ordered_json;

struct SourceText {
  std::string name;  ///< file name for messages; empty: the command line
  std::string text;
};

struct ApplyOptions {
  jobs::SubmitOptions submit;
  bool single_transaction = false;  ///< all of it is one job
  bool as_barrier = false;          ///< without our parser, each statement alone
  jobs::Tuning tuning = {};         ///< how the jobs are run: jobs::alter has the names
  /// What a job must not do; then it is an error (InputError), and nothing is queued.
  bool refuse_rewrite = false;                  ///< rewrite a table under a lock
  bool refuse_scan = false;                     ///< or read all its rows under one
  std::chrono::milliseconds longest_stall{-1};  ///< by the planner's estimate; negative: any
};

struct Explained {
  plan::Plan plan;
  jobs::Footprint footprint;
  std::string statement;
};

class Client {
 public:
  /// Connects, and checks that the lockkeeper schema is there and fits this library.
  explicit Client(const pg::Dsn& dsn);
  ~Client();

  /// One statement.
  jobs::Submitted submit(const std::string& sql, const ApplyOptions& options = {});
  /// Files in order, as one batch: nothing of them is queued unless all of them can be read.
  std::vector<jobs::Submitted> apply(const std::vector<SourceText>& sources,
                                     const ApplyOptions& options = {});
  /// What the statements would do now; changes nothing.
  std::vector<Explained> plan(const SourceText& source, const ApplyOptions& options = {});
  /// The same for one of several files: what the earlier ones would have changed is in `earlier`.
  std::vector<Explained> plan(const SourceText& source, const ApplyOptions& options,
                              plan::Earlier& earlier);

  /// Changes how a job of the queue is run, also while it runs; gives what is set then.
  jobs::Tuning alter(JobId job, const jobs::Tuning& changes);

  /// Unfinished jobs, at most `limit`; those in `state`, or all when it is empty.
  std::vector<Json> jobs(int limit = 1000, const std::string& state = {});
  /// `wanted`: see jobs::history.
  std::vector<Json> history(int limit = 50, const Json& wanted = Json::object());
  std::vector<Json> statistics();
  std::vector<jobs::GraphNode> graph(int limit = 1000);
  std::optional<Json> show(JobId job);
  /// Dropped tables that can be had back: see trash::list.
  std::vector<Json> trash();
  /// Submits what brings one back, as one batch: the table, then each of its foreign keys.
  std::vector<jobs::Submitted> restore(std::int64_t item);
  /// Drops some for good, now.
  std::vector<trash::Purged> purge(const std::vector<std::int64_t>& items);

  /// Processes of the application that cache the schema.
  std::vector<versions::Node> nodes();
  /// Fences one. False: there is no such node, or the role is neither its own nor the owner.
  bool remove_node(std::int64_t node);
  /// Nodes and transactions that hold up a job between its steps, or any job.
  std::vector<versions::Blocker> blockers(std::optional<JobId> job = {});
  /// Transactions that hold locks of the queue itself: see jobs::holders.
  std::vector<Json> holders();
  /// Settings of this session that change what a statement means, by name.
  std::map<std::string, std::string> environment();
  std::vector<Json> states(const std::vector<JobId>& ids);
  /// What became of each of the jobs, in id order. Retry of a job that ended as cancelled submits
  /// it again: `answer` then names the new job.
  std::vector<jobs::Steered> steer(jobs::Verb verb, const jobs::Which& which);
  /// The state of one job after it. Throws Error (42704) when there is no such job, (42501) when it
  /// is somebody else's.
  std::string cancel(JobId job);
  void set(const std::string& name, const std::optional<std::string>& value);
  std::map<std::string, std::string> settings();
  int upgrade(bool begins);

  /// Calls `seen` with the states of the jobs at once and after each change, until all have ended
  /// (true) or `seen` gives false. When the connection is lost it calls `gone`, connects again as
  /// reconnect() does, and goes on: the jobs have not stopped. Throws Error.
  bool wait(const std::vector<JobId>& ids,
            const std::function<bool(const std::vector<Json>&)>& seen,
            const std::function<void(const Error&)>& gone = {});
  /// Waits until something ended or `most` has passed.
  void wait_for_change(std::chrono::milliseconds most);
  /// The connection was lost: every call throws, until reconnect().
  [[nodiscard]] bool lost() const;
  /// Connects anew, every half second until it succeeds. Throws the last Error after `most`.
  void reconnect(std::chrono::seconds most = std::chrono::seconds(60));

 private:
  using Ended = std::map<std::int64_t, Json>;
  void connect();
  std::vector<parse::Unit> units_of(const SourceText& source, const ApplyOptions& options);
  void check_roles(const std::vector<parse::Unit>& units, const SourceText& source);
  std::optional<std::string> why_not_kept(const parse::Unit& unit);
  plan::Plan plan_of(const parse::Unit& unit, const std::string& role, plan::Earlier& earlier);
  void check_limits(const std::vector<parse::Unit>& units, const ApplyOptions& options);
  jobs::Environment environment_for(const ApplyOptions& options);
  std::vector<jobs::Submitted> submit_units(const std::vector<parse::Unit>& units,
                                            const ApplyOptions& options);
  void submit_again(jobs::Steered& steered);
  bool look_until_ended(const std::vector<JobId>& ids, Ended& ended,
                        const std::function<bool(const std::vector<Json>&)>& seen);
  [[noreturn]] void explain_refusal(const SourceText& source, const InputError& error);
  pg::Dsn dsn_;
  std::unique_ptr<pg::Session> session_;
  bool listening_ = false;
};

/// True for a state that will not change any more.
bool is_final_state(const std::string& state);

}  // namespace lockkeeper::client
