// nodes, blockers.
#include <iostream>
#include <memory>

#include "cli/command.hpp"
#include "cli/output.hpp"

namespace lockkeeper::cli {
namespace {

Json json_of(const versions::Node& node) {
  Json holds_up = Json::array();
  for (const auto job : node.holds_up) holds_up.push_back(job.value);
  return {{"id", node.id},
          {"name", node.name},
          {"role", node.role},
          {"version", node.version},
          {"lag", node.lag},
          {"pid", node.pid == 0 ? Json(nullptr) : Json(node.pid)},
          {"lease_seconds", node.lease},
          {"lease_left_seconds", node.lease_left},
          {"gone_seconds", node.gone ? Json(*node.gone) : Json(nullptr)},
          {"age_seconds", node.age},
          {"holds_up", std::move(holds_up)}};
}

std::string standing(const versions::Node& node) {
  if (node.lease_left < 0) return "lease is over";
  if (node.gone) return "connection is gone for " + duration(*node.gone);
  return "lives, lease " + duration(node.lease_left) + " of " + duration(node.lease);
}

int show_nodes(Context& context) {
  const auto nodes = context.client().nodes();
  if (context.json) {
    Json all = Json::array();
    for (const auto& node : nodes) all.push_back(json_of(node));
    print_json(all);
    return kDone;
  }
  if (nodes.empty()) {
    std::cout << "no nodes: jobs do not wait for any" << std::endl;
    return kDone;
  }
  std::vector<std::vector<std::string>> rows;
  for (const auto& node : nodes) {
    std::string jobs;
    for (const auto job : node.holds_up) jobs += (jobs.empty() ? "job " : ", ") + job.str();
    const bool loading = node.version < 0;
    rows.push_back({std::to_string(node.id), node.name, node.role,
                    loading ? "loading" : std::to_string(node.version),
                    loading ? "" : std::to_string(node.lag), standing(node), duration(node.age),
                    jobs});
  }
  print_table({"ID", "NAME", "ROLE", "VERSION", "LAG", "STANDING", "AGE", "HOLDS UP"}, rows);
  return kDone;
}

int remove_nodes(Context& context, const std::vector<std::int64_t>& nodes) {
  auto client = context.client();
  int code = kDone;
  for (const auto node : nodes) {
    const bool removed = client.remove_node(node);
    if (!removed) code = kFailed;
    (removed ? std::cout : std::cerr)
        << (removed ? "node " : "error: there is no node ") << node
        << (removed ? " is fenced" : ", or it is not yours") << std::endl;
  }
  return code;
}

Json json_of(const versions::Blocker& blocker) {
  Json json = {{"job", blocker.job.value},
               {"action", blocker.action},
               {"state", blocker.job_state},
               {"step", blocker.step},
               {"version", blocker.version},
               {"waited_seconds", blocker.waited},
               {"blocker", blocker.is_node ? "node" : "transaction"}};
  if (blocker.is_node) {
    json["node"] = blocker.node;
    json["name"] = blocker.name;
    json["node_version"] = blocker.node_version;
    json["lease_left_seconds"] = blocker.lease_left;
    return json;
  }
  json["pid"] = blocker.pid == 0 ? Json(nullptr) : Json(blocker.pid);
  json["prepared"] = blocker.pid == 0 ? Json(blocker.name) : Json(nullptr);
  json["role"] = blocker.role;
  json["application"] = blocker.application;
  json["transaction_state"] = blocker.state;
  json["transaction_age_seconds"] = blocker.age;
  json["relation"] = blocker.relation;
  json["query"] = blocker.query;
  return json;
}

std::vector<std::string> row_of(const versions::Blocker& blocker) {
  const std::string what =
      blocker.is_node && blocker.node_version < 0 ? "loading"
      : blocker.is_node ? "version " + std::to_string(blocker.node_version) + " of " +
                              std::to_string(blocker.version)
                        : blocker.state + (blocker.age > 0 ? " for " + duration(blocker.age) : "");
  return {blocker.job.str(),
          blocker.action,
          std::to_string(blocker.step),
          duration(blocker.waited),
          versions::who(blocker),
          blocker.role,
          blocker.application,
          what,
          one_line(blocker.query)};
}

// Open transactions that have submitted.
void print_holders(const std::vector<Json>& holders) {
  std::cout
      << "these hold locks of the queue itself: submissions for the same objects, and the ends "
         "of jobs of them, wait\n";
  std::vector<std::vector<std::string>> rows;
  for (const auto& holder : holders) {
    const auto& age = holder["transaction_age_seconds"];
    rows.push_back({holder["pid"].is_null() ? "prepared transaction " + cell(holder["prepared"])
                                            : "pid " + cell(holder["pid"]),
                    cell(holder["role"]), cell(holder["application"]),
                    cell(holder["transaction_state"]) +
                        (age.is_null() ? "" : " for " + duration(age.get<double>())),
                    one_line(cell(holder["query"]))});
  }
  print_table({"WHO", "ROLE", "APPLICATION", "STATE", "QUERY"}, rows);
}

int show_blockers(Context& context, std::int64_t job) {
  auto client = context.client();
  if (job != 0 && !client.show(JobId{job}))
    throw Error(Retry::never, "there is no job " + std::to_string(job), "42704");
  const auto blockers = client.blockers(job == 0 ? std::nullopt : std::optional(JobId{job}));
  const auto holders = job == 0 ? client.holders() : std::vector<Json>();
  if (context.json) {
    Json all = Json::array();
    for (const auto& blocker : blockers) all.push_back(json_of(blocker));
    for (const auto& holder : holders) all.push_back(holder);
    print_json(all);
    return kDone;
  }
  if (!holders.empty()) print_holders(holders);
  if (!holders.empty() && !blockers.empty()) std::cout << '\n';
  if (blockers.empty()) {
    if (holders.empty())
      std::cout << "no node and no transaction holds up " << (job == 0 ? "any job" : "the job")
                << " between its steps" << std::endl;
    return kDone;
  }
  std::vector<std::vector<std::string>> rows;
  for (const auto& blocker : blockers) rows.push_back(row_of(blocker));
  print_table({"JOB", "ACTION", "STEP", "WAITS", "FOR", "ROLE", "APPLICATION", "STATE", "QUERY"},
              rows);
  return kDone;
}

}  // namespace

void add_nodes(CLI::App& app, Context& context) {
  CLI::App* command = add_command(
      app, context, "nodes",
      "Processes of the application that cache the schema: version, lag, lease, what they hold up",
      "lockkeeper nodes\n  lockkeeper nodes --remove 12");
  const auto gone = std::make_shared<std::vector<std::int64_t>>();
  command->add_option("--remove", *gone, "Fence these nodes: nobody waits for them any more")
      ->check(positive());
  add_json_option(*command, context);
  command->callback([&context, gone] {
    context.action = [&context, gone] {
      return gone->empty() ? show_nodes(context) : remove_nodes(context, *gone);
    };
  });
}

void add_blockers(CLI::App& app, Context& context) {
  CLI::App* command = add_command(
      app, context, "blockers",
      "Nodes and transactions that still use the version before, and so hold up a job between two "
      "steps; and open transactions that hold locks of the queue itself",
      "lockkeeper blockers\n  lockkeeper blockers 12");
  const auto job = std::make_shared<std::int64_t>(0);
  command->add_option("job", *job, "Job id; all jobs without it")->check(positive());
  add_json_option(*command, context);
  command->callback([&context, job] {
    context.action = [&context, job] { return show_blockers(context, *job); };
  });
}

}  // namespace lockkeeper::cli
