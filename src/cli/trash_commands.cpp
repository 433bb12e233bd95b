// trash, restore, purge.
#include <iostream>
#include <memory>

#include "cli/command.hpp"
#include "cli/output.hpp"

namespace lockkeeper::cli {
namespace {

// Columns that went with what they were made of, while it was in the trash.
std::string lost(const nlohmann::ordered_json& item, const std::string& before,
                 const std::string& after) {
  std::string names;
  for (const auto& column : item["lost_columns"])
    names += (names.empty() ? "" : ", ") + cell(column);
  return names.empty() ? names : before + names + after;
}

int show_trash(Context& context) {
  const auto items = context.client().trash();
  if (context.json) {
    print_json(items);
    return kDone;
  }
  if (items.empty()) {
    std::cout << "the trash is empty" << std::endl;
    return kDone;
  }
  std::vector<std::vector<std::string>> rows;
  for (const auto& item : items)
    rows.push_back(
        {cell(item["id"]),
         cell(item["schema_name"]) + "." + cell(item["name"]) + lost(item, " (lost ", ")"),
         cell(item["job_id"]), cell(item["role"]), bytes(item["bytes"].get<std::int64_t>()),
         item["left_seconds"].get<double>() > 0 ? duration(item["left_seconds"].get<double>())
                                                : "due"});
  print_table({"ID", "TABLE", "JOB", "OWNER", "SIZE", "PURGED IN"}, rows);
  return kDone;
}

int purge(Context& context, const std::vector<std::int64_t>& ids) {
  auto client = context.client();
  int code = kDone;
  const auto purged = client.purge(ids);
  Json all = Json::array();
  for (const auto& item : purged) {
    all.push_back({{"id", item.id},
                   {"name", item.name},
                   {"problem", item.problem.empty() ? Json() : Json(item.problem)},
                   {"later", item.later}});
    if (!item.problem.empty()) {
      code = kFailed;
      std::cerr << item.id << "  " << item.name << ": " << item.problem << std::endl;
    } else if (!context.json) {
      std::cout << item.id << "  " << item.name
                << (item.later ? ": a worker will purge it at its next look" : ": purged")
                << std::endl;
    }
  }
  if (context.json) print_json(all);
  if (purged.size() == ids.size()) return code;
  std::cerr << "error: not all of them are in the trash, or yours\nhint: lockkeeper trash"
            << std::endl;
  return kFailed;
}

}  // namespace

void add_trash(CLI::App& app, Context& context) {
  CLI::App* command = add_command(app, context, "trash", "List dropped tables that can be had back",
                                  "lockkeeper trash");
  add_json_option(*command, context);
  command->callback([&context] { context.action = [&context] { return show_trash(context); }; });
}

void add_restore(CLI::App& app, Context& context) {
  CLI::App* command =
      add_command(app, context, "restore", "Bring a dropped table back from the trash",
                  "lockkeeper restore --wait 12");
  const auto id = std::make_shared<std::int64_t>();
  const auto wait = std::make_shared<bool>(false);
  command->add_option("id", *id, "Number in the trash")->required();
  command->add_flag("-w,--wait", *wait, "Wait for the end; exit 1 when it is not a good one");
  add_json_option(*command, context);
  command->callback([&context, id, wait] {
    context.action = [&context, id, wait] {
      auto client = context.client();
      for (const auto& item : client.trash())
        if (item["id"].get<std::int64_t>() == *id)
          std::cerr << lost(item, "note: it comes back without ",
                            ", dropped with what it was made of\n");
      return report_submitted(client, client.restore(*id), *wait, context.json);
    };
  });
}

void add_purge(CLI::App& app, Context& context) {
  CLI::App* command = add_command(app, context, "purge", "Drop tables of the trash for good, now",
                                  "lockkeeper purge 12 13");
  const auto ids = std::make_shared<std::vector<std::int64_t>>();
  command->add_option("ids", *ids, "Numbers in the trash")->required();
  add_json_option(*command, context);
  command->callback(
      [&context, ids] { context.action = [&context, ids] { return purge(context, *ids); }; });
}

}  // namespace lockkeeper::cli
