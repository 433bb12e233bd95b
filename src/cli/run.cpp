#include "cli/run.hpp"

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <numeric>
#include <string_view>
#include <vector>

#include "base/log.hpp"
#include "cli/command.hpp"
#include "cli/output.hpp"

namespace lockkeeper::cli {
namespace {

std::string hint_for(const Error& error) {
  // A server that answers has told what is not there.
  const bool answered = std::string_view(error.what()).find("does not exist") != std::string::npos;
  if (error.query() == "connect" && answered)
    return "\nhint: check the database and the role in --dsn, LOCKKEEPER_DSN or the PG* variables";
  if (error.query() == "connect")
    return "\nhint: set --dsn, LOCKKEEPER_DSN or the PG* variables; is the server running?";
  if (!error.report().hint.empty()) return "\nhint: " + error.report().hint;
  if (error.sqlstate() == "42501")
    return "\nhint: the owner of the database gives the right: lockkeeper migrate --grant ROLE, or "
           "--roles";
  return {};
}

bool has_command(const CLI::App& app, const std::string& name) {
  for (const auto* command : app.get_subcommands([](const CLI::App*) { return true; }))
    if (command->get_name() == name) return true;
  return false;
}

// In how many letters two words differ (Levenshtein).
std::size_t distance(const std::string& one, const std::string& other) {
  std::vector<std::size_t> row(other.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= one.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= other.size(); ++j) {
      const std::size_t kept = diagonal + (one[i - 1] == other[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({kept, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

// Empty: none is like it.
std::string nearest_command(const CLI::App& app, const std::string& word) {
  std::string nearest;
  std::size_t least = 3;
  for (const auto* command : app.get_subcommands([](const CLI::App*) { return true; }))
    if (const auto apart = distance(word, command->get_name()); apart < least) {
      least = apart;
      nearest = command->get_name();
    }
  return nearest;
}

bool has_password(const std::string& dsn) {
  try {
    const pg::Dsn parsed(dsn);
    return parsed.conninfo() != parsed.redacted();
  } catch (const InputError&) {
    return true;  // Whatever it is.
  }
}

// Everybody on the machine sees the arguments of a process. They have been read: who needs them?
void hide_passwords(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    std::string_view text = argv[i];
    const std::string_view before = argv[i - 1];
    if (text.rfind("--dsn=", 0) == 0)
      text.remove_prefix(6);
    else if (text.rfind("-d", 0) == 0 && text.size() > 2)
      text.remove_prefix(2);
    else if (before != "--dsn" && before != "-d")
      continue;
    if (!has_password(std::string(text))) continue;
    char* const begin = argv[i] + (std::string_view(argv[i]).size() - text.size());
    std::fill(begin, begin + text.size(), '*');
  }
}

int say(const Error& error) {
  std::string message = one_line(error.what());
  while (!message.empty() && message.back() == ' ') message.pop_back();
  std::cerr << "error: " << message;
  if (!error.sqlstate().empty() && error.query() != "connect")
    std::cerr << " (" << error.sqlstate() << ")";
  if (!error.report().detail.empty()) std::cerr << "\ndetail: " << error.report().detail;
  std::cerr << hint_for(error) << std::endl;
  return error.retry() == Retry::new_session ? kUnreachable : kFailed;
}

}  // namespace

int run(int argc, char** argv) {
  // Libraries must not speak between our lines; work and dev set what the user wants.
  CLI::App app{
      "Lockkeeper takes the schema of a PostgreSQL database from one version to the next, "
      "while the application keeps reading and writing.",
      "lockkeeper"};
  Context context;
  if (const char* dsn = std::getenv("LOCKKEEPER_DSN"); dsn != nullptr) context.dsn = dsn;
  app.require_subcommand(1);
  app.set_version_flag("--version", std::string("lockkeeper ") + LOCKKEEPER_VERSION);
  app.footer(
      "Each command has --help with an example.\n"
      "Start here: lockkeeper dev");
  for (const auto add :
       {add_migrate, add_submit,   add_apply,   add_plan,    add_jobs,      add_show,
        add_watch,   add_graph,    add_cancel,  add_alter,   add_cutover,   add_pause,
        add_resume,  add_retry,    add_history, add_stats,   add_set,       add_upgrade,
        add_nodes,   add_blockers, add_trash,   add_restore, add_purge,     add_doctor,
        add_config,  add_work,     add_dev,     add_version, add_completion})
    add(app, context);
  if (argc > 1) context.work_arguments.assign(argv + 2, argv + argc);
  try {
    app.parse(argc, argv);
    hide_passwords(argc, argv);
    return context.action();
  } catch (const CLI::ParseError& error) {
    const std::string word = argc > 1 ? argv[1] : "";
    if (!word.empty() && word[0] != '-' && !has_command(app, word)) {
      const auto near = nearest_command(app, word);
      std::cerr << "error: there is no command \"" << word << "\"\nhint: "
                << (near.empty() ? "see lockkeeper --help" : "did you mean \"" + near + "\"?")
                << std::endl;
      return kBadInput;
    }
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    std::cerr << "error: " << one_line(error.what()) << "\nhint: see lockkeeper "
              << (has_command(app, word) ? word + " " : "") << "--help" << std::endl;
    return kBadInput;
  } catch (const InputError& error) {
    std::cerr << error.pretty() << std::endl;
    return kBadInput;
  } catch (const Error& error) {
    return say(error);
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << std::endl;
    return kFailed;
  }
}

}  // namespace lockkeeper::cli
