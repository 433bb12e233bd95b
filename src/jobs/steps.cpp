#include "jobs/steps.hpp"

#include <nlohmann/json.hpp>

#include "pg/quote.hpp"
#include "sql/queries.hpp"

namespace lockkeeper::jobs {
namespace {

using Json = nlohmann::json;

Json json_of(const plan::Step& step) {
  Json locks = Json::array();
  for (const auto& lock : step.locks)
    locks.push_back({{"object", lock.object}, {"mode", to_string(lock.mode)}});
  Json hides = Json::array();
  for (const auto& one : step.hides)
    hides.push_back({{"relation", std::stoll(one.relation)}, {"column", one.column}});
  return {{"kind", to_string(step.kind)},
          {"statements", step.statements},
          {"undo", step.undo},
          {"index", step.index},
          {"table", step.table},
          {"quiet", step.quiet},
          {"verify", step.verify},
          {"may_stay_null", step.may_stay_null},
          {"in_order", step.in_order},
          {"cut_over", step.cut_over},
          {"digests", step.digests},
          {"no_return", step.no_return},
          {"late", step.late},
          {"hides", std::move(hides)},
          {"failures", step.failures},
          {"schema_state", step.schema_state},
          {"says", step.says},
          {"target", step.target},
          {"target_oid", step.target_oid},
          {"locks", std::move(locks)}};
}

plan::Step step_of(const Json& json) {
  plan::Step step;
  step.kind = plan::step_kind_from(json.at("kind").get<std::string>());
  step.statements = json.at("statements").get<std::vector<std::string>>();
  step.undo = json.at("undo").get<std::vector<std::string>>();
  step.index = json.at("index").get<std::string>();
  step.table = json.at("table").get<std::string>();
  step.in_order = json.value("in_order", false);
  step.may_stay_null = json.value("may_stay_null", false);
  step.verify = json.value("verify", "");
  step.quiet = json.value("quiet", false);  // Plans of earlier builds have none of these.
  step.digests = json.value("digests", std::map<std::string, std::string>());
  step.cut_over = json.value("cut_over", false);
  step.failures = json.value("failures", std::vector<std::string>());
  step.no_return = json.value("no_return", false);
  step.late = json.value("late", false);
  for (const auto& one : json.value("hides", Json::array()))
    step.hides.push_back({std::to_string(one.at("relation").get<std::int64_t>()),
                          one.at("column").get<std::string>()});
  step.schema_state = json.at("schema_state").get<std::string>();
  step.says = json.at("says").get<std::string>();
  step.target = json.at("target").get<std::string>();
  step.target_oid = json.at("target_oid").get<std::string>();
  for (const auto& lock : json.at("locks"))
    step.locks.push_back({{},
                          lock.at("object").get<std::string>(),
                          plan::lock_mode_from(lock.at("mode").get<std::string>()),
                          false,
                          false,
                          {}});
  return step;
}

}  // namespace

bool keep_plan(pg::Session& session, const Claim& claim, const plan::Plan& plan) {
  Json steps = Json::array();
  for (const auto& step : plan.steps) steps.push_back(json_of(step));
  const auto text = steps.dump(-1, ' ', false, Json::error_handler_t::replace);
  return session.run(sql::jobs_keep_plan, pg::Params::of(claim.job, claim.epoch, text))
      .front()
      .boolean("held");
}

std::vector<StoredStep> steps(pg::Session& session, JobId job) {
  std::vector<StoredStep> stored;
  for (const auto row : session.run(sql::jobs_steps, pg::Params::of(job))) {
    const Json detail = Json::parse(row.text("detail"));
    stored.push_back({static_cast<int>(row.integer("seq")), row.text("state"), step_of(detail)});
  }
  return stored;
}

std::string steps_for_history(const std::vector<StoredStep>& steps) {
  Json all = Json::array();
  for (const auto& stored : steps)
    all.push_back({{"kind", to_string(stored.step.kind)}, {"sql", stored.step.statements}});
  return all.dump();
}

std::string same_target_text(const StoredStep& step) {
  if (step.step.target_oid.empty()) return {};
  return "SELECT lockkeeper.same_target(" + step.step.target_oid + ", " +
         pg::quote_literal(step.step.target) + ");";
}

std::string end_step_text(const Claim& claim, const StoredStep& step) {
  return same_target_text(step) + "SELECT lockkeeper.end_step(" + claim.job.str() + ", " +
         claim.epoch.str() + ", " + std::to_string(step.seq) + ", " +
         pg::quote_literal(step.step.schema_state) + ")";
}

std::string target_now(pg::Session& session, const StoredStep& step) {
  if (step.step.target_oid.empty()) return step.step.target;
  const auto rows = session.run(sql::jobs_target_now, pg::Params::of(step.step.target_oid));
  return rows.empty() ? std::string() : rows.front().text("name");
}

bool begin_rollback(pg::Session& session, const Claim& claim, const Report& reason) {
  return session
      .run(sql::jobs_begin_rollback, pg::Params::of(claim.job, claim.epoch, to_json(reason)))
      .front()
      .boolean("held");
}

std::string undo_step_text(const Claim& claim, const StoredStep& step) {
  return "SELECT lockkeeper.undo_step(" + claim.job.str() + ", " + claim.epoch.str() + ", " +
         std::to_string(step.seq) + ")";
}

std::vector<std::string> later_statements(pg::Session& session, JobId job) {
  std::vector<std::string> statements;
  for (const auto row : session.run(sql::jobs_later_statements, pg::Params::of(job)))
    statements.push_back(row.text("statement"));
  return statements;
}

}  // namespace lockkeeper::jobs
