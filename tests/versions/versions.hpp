#pragma once
// What tests of schema versions share: a node that does only what it is told to, and the fixture.
#include "steps/online.hpp"
#include "versions/syncer.hpp"
#include "versions/wait.hpp"

namespace lockkeeper::test {

using std::chrono::milliseconds;
using std::chrono::seconds;

inline constexpr const char* kTwoSteps = "ALTER TABLE big ADD CONSTRAINT k CHECK (a > 0)";

// A node that does only what it is told to.
class ManualNode {
 public:
  explicit ManualNode(const pg::Dsn& dsn, const std::string& name = "api-1",
                      milliseconds lease = seconds(600))
      : session(dsn, name), syncer(session), version(syncer.init(name, lease)) {
    follow();
  }

  // Loads what is new; gives what is then to be acknowledged.
  std::vector<versions::Pending> load() {
    for (const auto& diff : syncer.changes_since(version)) version = diff.version;
    return syncer.update_self_version(version);
  }
  void follow() { syncer.acknowledge(load()); }

  pg::Session session;
  versions::Syncer syncer;
  std::int64_t version = 0;
};

class Versions : public Online {
 protected:
  void await_state(JobId job, const std::string& state) {
    await("SELECT state FROM lockkeeper.ddl_job WHERE id = " + job.str(), state);
  }
  // It has given up to wait in its worker.
  void await_wait(const std::string& what) {
    await("SELECT error->>'message' LIKE 'waits for " + what + "%' FROM lockkeeper.ddl_job",
          "true");
  }
  // SHARE ROW EXCLUSIVE stops writers, not readers: `begin` has one come in while the first step is
  // under way.
  static void during_first_step(const std::function<void()>& begin) {
    testpoint::set_hook([begin, begun = std::make_shared<bool>(false)](const std::string& name) {
      if (name == "after_statement" && !std::exchange(*begun, true)) begin();
    });
  }
  std::string steps_done() {
    return value("SELECT count(*) FROM lockkeeper.ddl_step WHERE state = 'done'");
  }
  std::string affected(JobId job) {
    return value(
        "SELECT string_agg(concat_ws(' ', coalesce(a->>'old', '-'), coalesce(a->>'new', '-'), "
        "CASE WHEN a->>'old_oid' = a->>'new_oid' THEN 'same' END), ', ' ORDER BY version, a) FROM "
        "lockkeeper.ddl_schema_diff, jsonb_array_elements(affected) AS a WHERE job_id = " +
        job.str());
  }
};

}  // namespace lockkeeper::test
