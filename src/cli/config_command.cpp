// config check, config show.
#include <iostream>
#include <memory>

#include "cli/command.hpp"
#include "cli/configuration.hpp"
#include "cli/output.hpp"

namespace lockkeeper::cli {
namespace {

// As docs/configuration.md has it.
void print_markdown(const std::vector<Value>& values) {
  std::cout << "| setting | environment | default | what |\n|---|---|---|---|\n";
  for (const auto& value : values)
    std::cout << "| `" << value.name << "` | `" << value.environment << "` | "
              << (value.fallback.empty() ? "" : "`" + value.fallback + "`") << " | "
              << value.description << " |\n";
}

void print(const std::vector<Value>& values, bool json) {
  if (json) {
    Json all = Json::object();
    for (const auto& value : values)
      all[value.name] = {{"value", value.value}, {"from", value.from}};
    return print_json(all);
  }
  std::vector<std::vector<std::string>> rows;
  for (const auto& value : values)
    rows.push_back({value.name, value.from, value.value, value.environment});
  print_table({"SETTING", "FROM", "VALUE", "ENVIRONMENT"}, rows);
}

CLI::App* add(CLI::App& group, const std::string& name, const std::string& description,
              const std::shared_ptr<WorkWords>& words) {
  CLI::App* command = group.add_subcommand(name, description);
  add_file_options(*command, *words);
  add_work_options(*command, *words, 1);
  return command;
}

}  // namespace

void add_config(CLI::App& app, Context& context) {
  CLI::App* group = app.add_subcommand("config", "Check or show the settings of \"work\"");
  group->footer("Example:\n  lockkeeper config check --config lockkeeper.toml");
  group->require_subcommand(1);
  const auto words = std::make_shared<WorkWords>();
  CLI::App* check = add(*group, "check", "Say whether a file of settings can be taken", words);
  check->footer("Example:\n  lockkeeper config check --config lockkeeper.toml");
  add_json_option(*check, context);
  check->callback([&context, check, words] {
    context.action = [&context, check, words] {
      take_file(*check, *words);
      settings_of(*words);
      for (const auto& dsn : words->dsns) const pg::Dsn parsed(dsn);
      if (context.json)
        print_json({{"good", true}, {"file", words->config}});
      else
        std::cout << (words->config.empty() ? "the settings" : words->config) << " can be taken"
                  << std::endl;
      return kDone;
    };
  });
  const auto shown = std::make_shared<WorkWords>();
  const auto markdown = std::make_shared<bool>(false);
  CLI::App* show = add(*group, "show", "List all settings, and where each value comes from", shown);
  show->footer("Example:\n  lockkeeper config show --config lockkeeper.toml");
  add_json_option(*show, context);
  show->add_flag("--markdown", *markdown)->group("");
  show->callback([&context, show, shown, markdown] {
    context.action = [&context, show, shown, markdown] {
      auto values = take_file(*show, *shown);
      std::erase_if(values, [](const auto& value) {
        return value.name == "json" || value.name == "markdown";
      });
      if (*markdown)
        print_markdown(values);
      else
        print(values, context.json);
      return kDone;
    };
  });
}

}  // namespace lockkeeper::cli
