#pragma once
// Statements that cannot be in a transaction block. They cannot share a commit with the job row, so
// each looks first at what an earlier try left (promise 6): an index that was built is adopted, an
// invalid one is dropped; what was dropped already stays dropped.
// One thread; needs two sessions: the queue's, and one that is dressed as the job's role and is
// thrown away afterwards.

#include <string>

#include "jobs/job.hpp"
#include "parse/parser.hpp"
#include "pg/session.hpp"
#include "plan/plan.hpp"

namespace lockkeeper::workers {

class Outside {
 public:
  /// `unit`: the job's statement, parsed again here, because what the row says of it may come from
  /// anybody who may submit.
  Outside(pg::Session& queue, const jobs::Job& job, const parse::Unit& unit);

  /// What is there before the statement runs, as JSON for jobs::begin_outside. `dressed` has the
  /// job's search_path.
  std::string look(pg::Session& dressed) const;

  /// After a crash: true when the statement had done its work and must not run again. Removes an
  /// invalid left-over. Throws Error (never) when nobody can know.
  bool settle(pg::Session& dressed, const std::string& before) const;

  /// Removes what a failed or cancelled try left. `before`: what look() gave. True: it could only
  /// be brought to its end instead, so the job is done.
  bool clean_up(pg::Session& dressed, const std::string& before) const;

  /// An earlier claim built the index, which has a name, and had no time to say so.
  bool built_already(pg::Session& dressed, const std::string& before) const;

  /// Nothing half made stays of such a statement when it is stopped.
  static bool leaves_nothing(const std::string& action);

  /// Removes also what was brought to its end: the index that `before` does not know.
  /// `table`: its name now; empty: the name of the statement.
  void take_back(pg::Session& dressed, const std::string& before, const std::string& table) const;
  /// Begun, and only to be brought to its end: an index that is being dropped is invalid for good.
  bool no_way_back(pg::Session& dressed) const;
  /// An earlier claim dropped what was to be dropped, and had no time to say so.
  bool dropped_already(pg::Session& dressed, const std::string& before) const;

  [[nodiscard]] const plan::Step& step() const { return step_; }
  [[nodiscard]] const std::string& statement() const { return unit_.statements.front().text; }

 private:
  void drop_reindex_leftovers(pg::Session& dressed, const std::string& before) const;
  bool finish_detach(pg::Session& dressed) const;
  enum class Drop { invalid, all };
  bool drop_new(pg::Session& dressed, const std::string& before, Drop which, bool* built,
                const std::string& table) const;
  pg::Session& queue_;
  const jobs::Job& job_;
  parse::Unit unit_;
  plan::Step step_;
};

}  // namespace lockkeeper::workers
