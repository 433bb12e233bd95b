#include "jobs/submit.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "parse/passwords.hpp"
#include "pg/password.hpp"
#include "sql/queries.hpp"

namespace lockkeeper::jobs {
namespace {

using Json = nlohmann::json;

constexpr int kTriesMost = 5;

Json refs_of(const parse::Unit& unit) {
  Json refs = Json::array();
  for (std::size_t i = 0; i < unit.statements.size(); ++i) {
    for (const auto& ref : unit.statements[i].refs) {
      Json entry = {{"kind", ref.kind}, {"name", ref.name}, {"exclusive", ref.exclusive}};
      if (!ref.schema.empty()) entry["schema"] = ref.schema;
      if (ref.barrier_unless_builtin) entry["barrier_unless_builtin"] = true;
      if (!unit.paths[i].empty()) entry["path"] = unit.paths[i];
      refs.push_back(std::move(entry));
    }
  }
  return refs;
}

// Most have none: they need not be taken apart once more.
bool may_have_password(const std::string& action) {
  return action == "create role" || action == "alter role";
}

Json spec_of(const parse::Unit& unit, const Environment& environment) {
  Json statements = Json::array();
  for (const auto& statement : unit.statements)
    statements.push_back(may_have_password(statement.action)
                             ? parse::with_hashed_password(statement.text, pg::scram_verifier)
                             : statement.text);
  auto settings = environment.settings;
  std::string search_path = environment.search_path;
  std::optional<std::string> role;
  for (const auto& [name, value] : unit.settings) {
    if (name == "search_path")
      search_path = value;
    else if (name == "role")
      role = value;
    else
      settings[name] = value;
  }
  Json spec = {{"action", unit.action},
               {"statements", std::move(statements)},
               {"refs", refs_of(unit)},
               {"transactional", unit.mode == parse::Mode::transactional},
               {"pool", unit.reorg ? "reorg" : "general"},
               {"opaque", unit.opaque},
               {"changes_schema", unit.changes_schema},
               {"instant", unit.instant},
               {"unparsed_run", unit.unparsed},
               {"search_path", search_path},
               {"settings", settings}};
  if (role) spec["role"] = *role;
  return spec;
}

// Bytes that are not UTF-8 are refused by the server with a better message than dump() has.
std::string text_of(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::vector<Submitted> send(pg::Session& session, const Json& options,
                            const std::vector<parse::Unit>& units, std::size_t from, std::size_t to,
                            const Environment& environment) {
  Json jobs = Json::array();
  for (std::size_t i = from; i < to; ++i) jobs.push_back(spec_of(units[i], environment));
  std::vector<Submitted> submitted;
  for (const auto row :
       session.run(sql::jobs_enqueue, pg::Params::of(text_of(jobs), text_of(options))))
    submitted.push_back({JobId{row.integer("id")}, row.boolean("existing")});
  return submitted;
}

std::vector<Submitted> send_in_chunks(pg::Session& session, Json options,
                                      const std::vector<parse::Unit>& units,
                                      const Environment& environment) {
  std::vector<Submitted> submitted;
  pg::Transaction tx(session);
  options["batch"] = true;
  for (std::size_t from = 0; from < units.size(); from += kChunk) {
    const auto chunk =
        send(session, options, units, from, std::min(from + kChunk, units.size()), environment);
    submitted.insert(submitted.end(), chunk.begin(), chunk.end());
    // The key was used before: these are the jobs of then, all of them.
    if (submitted.front().existing) break;
    options["continues"] = submitted.front().id.value;
    options.erase("key");
  }
  tx.commit();
  return submitted;
}

}  // namespace

Environment environment_of(pg::Session& session) {
  const auto rows = session.run(sql::jobs_environment);
  const auto row = rows.front();
  return {row.text("login"), row.text("role"), row.text("search_path"),
          Json::parse(row.text("settings")).get<std::map<std::string, std::string>>()};
}

std::vector<Submitted> submit(pg::Session& session, const std::vector<parse::Unit>& units,
                              const Environment& environment, const SubmitOptions& options) {
  Json wanted = {{"on_error", options.on_error}, {"priority", options.priority}};
  if (options.key) wanted["key"] = *options.key;
  if (options.refuse_new) wanted["refuse_new"] = true;
  for (int tries = 1;; ++tries) {
    try {
      if (units.size() <= kChunk) return send(session, wanted, units, 0, units.size(), environment);
      // Each chunk takes its locks after those of the one before it: the one place that cannot keep
      // the order of locks of the queue.
      return send_in_chunks(session, wanted, units, environment);
    } catch (const Error& error) {
      // 40001: the queue was upgraded meanwhile.
      const auto& code = error.sqlstate();
      if ((code != "40P01" && code != "40001") || tries == kTriesMost) throw;
    }
  }
}

std::vector<Submitted> submit_each(pg::Session& session, const std::vector<parse::Unit>& units,
                                   const Environment& environment, const SubmitOptions& options) {
  return send(session,
              {{"on_error", options.on_error}, {"priority", options.priority}, {"batch", false}},
              units, 0, units.size(), environment);
}

void file_parsed(pg::Session& session, JobId job, const parse::Unit& unit,
                 const Environment& environment) {
  const Json spec = spec_of(unit, environment);
  session.run(sql::jobs_file_parsed, pg::Params::of(job, text_of(spec)));
  if (unit.statements.size() != 1) return;
  const auto& kept = spec["statements"].front().get_ref<const std::string&>();
  if (kept != unit.statements.front().text)
    session.run(sql::jobs_keep_text, pg::Params::of(job, kept));
}

Footprint footprint_of(pg::Session& session, const parse::Unit& unit,
                       const Environment& environment) {
  Footprint footprint;
  const Json spec = spec_of(unit, environment);
  Json objects = Json::array();
  Json exclusives = Json::array();
  for (const auto row :
       session.run(sql::jobs_resolve,
                   pg::Params::of(text_of(spec["refs"]), spec["search_path"].get<std::string>()))) {
    footprint.rows.push_back({row.text("object"), row.boolean("exclusive")});
    objects.push_back(row.text("object"));
    exclusives.push_back(row.boolean("exclusive") ? "true" : "false");
  }
  for (const auto row :
       session.run(sql::jobs_chain, pg::Params::of(text_of(objects), text_of(exclusives))))
    footprint.waits_for.push_back(
        {JobId{row.integer("id")}, row.text("object"), static_cast<int>(row.integer("distance")),
         row.null("because") ? std::nullopt : std::optional(JobId{row.integer("because")})});
  return footprint;
}

}  // namespace lockkeeper::jobs
