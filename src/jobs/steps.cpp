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
  return {{"kind", to_string(step.kind)},
          {"statements", step.statements},
          {"undo", step.undo},
          {"index", step.index},
          {"table", step.table},
          {"schema_state", step.schema_state},
          {"says", step.says},
          {"locks", std::move(locks)}};
}

plan::Step step_of(const Json& json) {
  plan::Step step;
  step.kind = plan::step_kind_from(json.at("kind").get<std::string>());
  step.statements = json.at("statements").get<std::vector<std::string>>();
  step.undo = json.at("undo").get<std::vector<std::string>>();
  step.index = json.at("index").get<std::string>();
  step.table = json.at("table").get<std::string>();
  step.schema_state = json.at("schema_state").get<std::string>();
  step.says = json.at("says").get<std::string>();
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
  return session.run(sql::jobs_keep_plan, pg::Params::of(claim.job, claim.epoch, steps.dump()))
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

std::string end_step_text(const Claim& claim, const StoredStep& step) {
  return "SELECT lockkeeper.end_step(" + claim.job.str() + ", " + claim.epoch.str() + ", " +
         std::to_string(step.seq) + ", " + pg::quote_literal(step.step.schema_state) + ")";
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

}  // namespace lockkeeper::jobs
