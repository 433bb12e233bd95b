#include "workers/outside.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "base/log.hpp"
#include "catalog/reader.hpp"
#include "parse/rewrite.hpp"
#include "plan/planner.hpp"
#include "sql/queries.hpp"

namespace lockkeeper::workers {
namespace {

using Json = nlohmann::json;

// May simply run again: they bring something into a state, whatever it was.
bool repeatable(const std::string& action) {
  static const std::set<std::string> kRepeatable = {"vacuum", "analyze", "reindex", "cluster"};
  return kRepeatable.count(action) != 0;
}

}  // namespace

Outside::Outside(pg::Session& queue, const jobs::Job& job, const parse::Unit& unit)
    : queue_(queue), job_(job), unit_(unit), step_(plan::steps_of(unit_).steps.front()) {}

std::string Outside::look(pg::Session& dressed) const {
  Json before = Json::object();
  if (step_.kind == plan::StepKind::build_index) {
    before["indexes"] = Json::array();
    for (const auto row : dressed.run(sql::workers_indexes, pg::Params::of(step_.table)))
      before["indexes"].push_back(row.integer("oid"));
  }
  if (unit_.action == "reindex") {
    before["indexes"] = Json::array();
    for (const auto row : dressed.run(sql::workers_reindex_leftovers))
      before["indexes"].push_back(row.integer("oid"));
  }
  if (unit_.action == "drop index") {
    before["there"] = Json::array();
    for (const auto& part : unit_.statements.front().parts) {
      const std::string name = parse::quoted_name(part.relation);
      if (!catalog::resolve(dressed, {name}).empty()) before["there"].push_back(name);
    }
  }
  return before.dump();
}

bool Outside::drop_new(pg::Session& dressed, const std::string& before, Drop which, bool* built,
                       const std::string& table) const {
  const Json known = Json::parse(before.empty() ? "{}" : before).value("indexes", Json::array());
  bool dropped = false;
  const auto signature = parse::index_signature(statement());
  for (const auto row : dressed.run(sql::workers_indexes, pg::Params::of(table))) {
    if (std::find(known.begin(), known.end(), row.integer("oid")) != known.end()) continue;
    // Somebody else's new index on the same table is none of ours.
    if (!step_.index.empty() && row.text("quoted") != step_.index) continue;
    if (row.text("signature") != signature) continue;
    if (row.boolean("valid") && which == Drop::invalid) {
      if (built != nullptr) *built = true;
      continue;
    }
    dressed.script("DROP INDEX CONCURRENTLY IF EXISTS " + row.text("name"));
    log::info("left-over index dropped",
              {{"job", job_.claim.job.str()}, {"index", row.text("name")}});
    dropped = true;
  }
  return dropped;
}

bool Outside::settle(pg::Session& dressed, const std::string& before) const {
  if (step_.kind == plan::StepKind::build_index) {
    bool built = false;
    drop_new(dressed, before, Drop::invalid, &built, step_.table);
    return built;
  }
  if (unit_.action == "drop index") {
    const Json there = Json::parse(before.empty() ? "{}" : before).value("there", Json::array());
    return !there.empty() && std::none_of(there.begin(), there.end(), [&](const Json& name) {
      return !catalog::resolve(dressed, {name.get<std::string>()}).empty();
    });
  }
  if (unit_.action == "detach partition") return finish_detach(dressed);
  if (unit_.action == "reindex") drop_reindex_leftovers(dressed, before);
  if (repeatable(unit_.action)) return false;
  Report report;
  report.sqlstate = "08007";
  report.message = "the worker died while this statement ran outside of a transaction";
  report.hint =
      "it may have done all, a part, or nothing of its work: look, then submit what is left";
  throw Error(Retry::never, report, "outside");
}

void Outside::drop_reindex_leftovers(pg::Session& dressed, const std::string& before) const {
  const Json known = Json::parse(before.empty() ? "{}" : before).value("indexes", Json::array());
  for (const auto row : dressed.run(sql::workers_reindex_leftovers)) {
    if (std::find(known.begin(), known.end(), row.integer("oid")) != known.end()) continue;
    dressed.script("DROP INDEX CONCURRENTLY IF EXISTS " + row.text("name"));
  }
}

// A half detached partition cannot be attached again: the only way is forward.
bool Outside::finish_detach(pg::Session& dressed) const {
  const auto& part = unit_.statements.front().parts.front();
  const std::string partition = parse::quoted_name(part.others.front());
  const auto rows = dressed.run(sql::workers_detach_pending, pg::Params::of(partition));
  if (rows.empty()) return true;
  if (!rows.front().boolean("pending")) return false;
  dressed.script("ALTER TABLE " + parse::quoted_name(part.relation) + " DETACH PARTITION " +
                 partition + " FINALIZE");
  return true;
}

bool Outside::no_way_back(pg::Session& dressed) const {
  if (unit_.action != "drop index") return false;
  const auto& part = unit_.statements.front().parts.front();
  return !dressed.run(sql::workers_invalid_index, pg::Params::of(parse::quoted_name(part.relation)))
              .empty();
}

bool Outside::dropped_already(pg::Session& dressed, const std::string& before) const {
  return unit_.action == "drop index" && !before.empty() && settle(dressed, before);
}

void Outside::take_back(pg::Session& dressed, const std::string& before,
                        const std::string& table) const {
  // Without a name it cannot be told from an index that somebody else has made meanwhile.
  if (step_.kind == plan::StepKind::build_index && !before.empty())
    drop_new(dressed, before, step_.index.empty() ? Drop::invalid : Drop::all, nullptr,
             table.empty() ? step_.table : table);
}

// Without a name it cannot be told from an index that somebody else has made meanwhile.
bool Outside::built_already(pg::Session& dressed, const std::string& before) const {
  return step_.kind == plan::StepKind::build_index && !step_.index.empty() && !before.empty() &&
         settle(dressed, before);
}

bool Outside::leaves_nothing(const std::string& action) {
  static const std::set<std::string> kKnown = {"create index", "drop index", "reindex",
                                               "detach partition"};
  return kKnown.count(action) != 0;
}

bool Outside::clean_up(pg::Session& dressed, const std::string& before) const {
  if (step_.kind == plan::StepKind::build_index)
    drop_new(dressed, before, Drop::invalid, nullptr, step_.table);
  if (unit_.action == "reindex") drop_reindex_leftovers(dressed, before);
  return unit_.action == "detach partition" && finish_detach(dressed);
}

}  // namespace lockkeeper::workers
