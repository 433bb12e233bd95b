// migrate, work, dev, version.
#include <fmt/format.h>

#include <csignal>
#include <iostream>
#include <memory>

#include "base/log.hpp"
#include "cli/command.hpp"
#include "cli/configuration.hpp"
#include "cli/output.hpp"
#include "parse/parser.hpp"
#include "pg/migrator.hpp"
#include "pg/quote.hpp"
#include "service/embedded_server.hpp"
#include "service/service.hpp"

namespace lockkeeper::cli {
namespace {

int migrate(const pg::Dsn& dsn, const std::string& grant, const std::string& prefix, bool json) {
  pg::Session session(dsn, "lockkeeper migrate", 60000);
  const auto applied = pg::migrate(session);
  if (!grant.empty())
    session.statement("SELECT lockkeeper.grant_use($1::pg_catalog.name)", pg::Params::of(grant));
  std::vector<std::string> roles;
  if (!prefix.empty()) roles = pg::make_roles(session, prefix);
  const int version = pg::schema_version(session);
  if (json) {
    print_json({{"version", version}, {"applied", applied}, {"roles", roles}});
    return kDone;
  }
  for (const auto& name : applied) std::cout << "applied " << name << '\n';
  std::cout << "the lockkeeper schema has version " << version
            << (applied.empty() ? ", nothing to do" : "") << std::endl;
  if (!grant.empty())
    std::cout << "role " << grant << " may submit, see and cancel, and be a node" << std::endl;
  for (const auto& role : roles) std::cout << "role " << role << " has its right\n";
  if (!roles.empty())
    std::cout << "give them to people and programs: GRANT " << pg::quote_ident(roles.front())
              << " TO somebody" << std::endl;
  return kDone;
}

// What has changed in the file holds from now on, where it can.
void reload(const Context& context, service::Service& service) {
  const auto keep = [](const std::string& reason) {
    log::error("settings are not read again, the old ones hold", {{"reason", reason}});
  };
  try {
    auto settings = settings_again(context.work_arguments);
    if (settings.dsns.empty()) settings.dsns = context.work.dsns;
    service.reload(settings);
  } catch (const InputError& error) {
    keep(error.pretty());
  } catch (const std::exception& error) {
    keep(error.what());
  }
}

// What a server says no to (a wrong password, no such database, no lockkeeper schema) should be
// told at once, not in a log that nobody reads yet. A server that does not answer may come: it is
// waited for; and one database of several that is not there keeps nobody from serving the others.
void need_one(const std::vector<std::string>& dsns) {
  std::exception_ptr first;
  std::size_t refused = 0;
  for (const auto& dsn : dsns) {
    const pg::Dsn parsed(dsn);
    bool answered = true;
    try {
      pg::Session session(parsed, "lockkeeper");
      pg::require_schema(session);
      continue;
    } catch (const Error& error) {
      answered = error.query() != "connect" || pg::answers(parsed);
      if (!first) first = std::current_exception();
      log::warning("database cannot be served yet",
                   {{"database", parsed.redacted()}, {"reason", error.what()}});
    }
    if (answered) ++refused;
  }
  if (first && refused == dsns.size()) std::rethrow_exception(first);
}

int work(Context& context, CLI::App& command, const WorkWords& words) {
  // From the first moment: "systemctl reload" may come at once.
  std::signal(SIGHUP, SIG_IGN);
  take_file(command, words);
  context.work = settings_of(words);
  if (context.work.dsns.empty()) context.work.dsns.push_back(context.dsn);
  need_one(context.work.dsns);
  service::Service::block_signals();
  service::Service service(context.work);
  service.start();
  int signal = service::Service::wait_for_signal();
  for (; signal == SIGHUP && !words.config.empty(); signal = service::Service::wait_for_signal())
    reload(context, service);
  log::info("stopping", {{"signal", std::to_string(signal)}});
  service.stop();
  log::info("stopped");
  return kDone;
}

int dev(Context& context, const WorkWords& words) {
  context.work = settings_of(words);
  const bool with_worker = context.work.workers > 0;
  service::Service::block_signals();
  service::EmbeddedServer server;
  {
    pg::Session session(server.dsn(), "lockkeeper dev");
    pg::migrate(session);
  }
  std::unique_ptr<service::Service> service;
  if (with_worker) {
    context.work.dsns = {server.dsn().conninfo()};
    service = std::make_unique<service::Service>(context.work);
    service->start();
  }
  const std::string dsn =
      "postgresql://postgres@/postgres?host=" + server.socket_directory() + "&port=5432";
  if (context.json)
    std::cout << Json{{"dsn", dsn}, {"worker", with_worker}}.dump() << std::endl;
  else
    std::cout << dsn << std::endl;
  std::cerr
      << "PostgreSQL " << (with_worker ? "and a worker run" : "runs")
      << " until Ctrl-C; try:\n  export LOCKKEEPER_DSN='" << dsn
      << "'\n  lockkeeper submit --wait 'CREATE TABLE hello (id int)'\n  psql \"$LOCKKEEPER_DSN\""
      << std::endl;
  service::Service::wait_for_signal();
  return kDone;
}

}  // namespace

void add_migrate(CLI::App& app, Context& context) {
  CLI::App* command =
      add_command(app, context, "migrate", "Make or upgrade the lockkeeper schema of a database",
                  "lockkeeper migrate --dsn postgresql://owner@host/shop");
  const auto grant = std::make_shared<std::string>();
  command->add_option("--grant", *grant, "Let this role submit, see and cancel jobs");
  const auto prefix = std::make_shared<std::string>();
  command
      ->add_option(
          "--roles", *prefix,
          "Make roles PREFIX_read, _submit, _node, _operate and _work, each with its right "
          "[lockkeeper]")
      ->expected(0, 1)
      ->default_str("lockkeeper")
      ->type_name("PREFIX");
  add_json_option(*command, context);
  command->callback([&context, grant, prefix, command] {
    if (command->count("--roles") > 0 && prefix->empty()) *prefix = "lockkeeper";
    context.action = [&context, grant, prefix] {
      return migrate(context.connection(), *grant, *prefix, context.json);
    };
  });
}

void add_work(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("work", "Run jobs of one or more databases until SIGTERM");
  command->footer(
      "Example:\n  lockkeeper work --dsn postgresql://owner@host/shop --dsn "
      "postgresql://owner@host/stock");
  const auto words = std::make_shared<WorkWords>();
  add_file_options(*command, *words);
  add_work_options(*command, *words, 1);
  command->callback([&context, command, words] {
    context.action = [&context, command, words] { return work(context, *command, *words); };
  });
}

void add_dev(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand(
      "dev", "Run a throw-away PostgreSQL with a worker, and print its connection string");
  command->footer("Example:\n  lockkeeper dev");
  const auto words = std::make_shared<WorkWords>();
  add_work_options(*command, *words, 0);
  command->add_flag("--json", context.json, "Print the connection string as an object");
  command->callback(
      [&context, words] { context.action = [&context, words] { return dev(context, *words); }; });
}

void add_version(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("version", "Print the versions of this program");
  command->footer("Example:\n  lockkeeper version --json");
  add_json_option(*command, context);
  command->callback([&context] {
    context.action = [&context] {
      if (context.json)
        print_json({{"lockkeeper", LOCKKEEPER_VERSION},
                    {"schema", pg::schema_version_of_binary()},
                    {"grammar", parse::grammar()}});
      else
        std::cout << fmt::format("lockkeeper {} (schema {}, grammar of PostgreSQL {})",
                                 LOCKKEEPER_VERSION, pg::schema_version_of_binary(),
                                 parse::grammar())
                  << std::endl;
      return kDone;
    };
  });
}

}  // namespace lockkeeper::cli
