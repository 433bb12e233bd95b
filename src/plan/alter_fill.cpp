// Columns for which rows have to be written: a new one whose value is another for each row, and one
// that gets another type. A helper column is filled by a trigger, for rows that the application
// writes, and by a backfill, for those that are there; then it takes its name in one short
// transaction. (PostgreSQL manual, ALTER TABLE, notes, and CREATE TRIGGER.)
#include <algorithm>
#include <map>

#include "plan/alter.hpp"
#include "plan/online.hpp"

namespace lockkeeper::plan {

using parse::quoted;

namespace {

std::string literal(const std::string& text) {
  std::string made = text.find('\\') == std::string::npos ? "'" : "E'";
  for (const char c : text) {
    made += c;
    if (c == '\'' || c == '\\') made += c;
  }
  return made + "'";
}

// What a conversion may depend on: as it is for the statement, not as the application has it.
constexpr const char* kSettings =
    " SET timezone FROM CURRENT SET datestyle FROM CURRENT SET intervalstyle FROM CURRENT SET "
    "extra_float_digits FROM CURRENT SET bytea_output FROM CURRENT SET xmloption FROM CURRENT";

std::string joined(const std::vector<std::string>& parts, const std::string& between) {
  std::string all;
  for (const auto& part : parts) all += (all.empty() ? "" : between) + part;
  return all;
}

std::string serial_type(const std::string& type) {
  if (type == "bigserial" || type == "serial8") return "bigint";
  return type == "smallserial" || type == "serial2" ? "smallint" : "integer";
}

// Types of one family are converted alike in every session, and can be compared.
std::string family_of(const std::string& type) {
  static const std::map<std::string, std::string> kFamilies = {
      {"smallint", "number"}, {"int2", "number"},    {"integer", "number"},
      {"int", "number"},      {"int4", "number"},    {"bigint", "number"},
      {"int8", "number"},     {"numeric", "number"}, {"decimal", "number"},
      {"text", "text"},       {"varchar", "text"},   {"character varying", "text"}};
  auto end = type.find('(');
  std::string name = type.substr(0, end);
  while (!name.empty() && name.back() == ' ') name.pop_back();
  const auto after = type.find(')');
  // Arrays, and what stands behind the modifier, are others.
  if (end != std::string::npos && after + 1 != type.size()) return {};
  const auto found = kFamilies.find(name);
  return found == kFamilies.end() ? std::string() : found->second;
}

// Ends the quoting of a function's body, whatever is in it.
std::string dollar_quoted(const std::string& body) {
  std::string tag = "$lockkeeper$";
  while (body.find(tag) != std::string::npos) tag.insert(1, "_");
  return tag + body + tag;
}

}  // namespace

const Filled* Alter::filled(const std::string& column) const {
  const auto found = std::find_if(filled_.begin(), filled_.end(),
                                  [&](const Filled& one) { return one.column == column; });
  return found == filled_.end() ? nullptr : &*found;
}

std::string Alter::own_name() const { return quoted(table_.schema) + "." + quoted(table_.name); }

bool Alter::not_online(const std::string& why) {
  why_ = why;
  return false;
}

bool Alter::can_fill() {
  const auto& filling = table_.filling;
  if (!filling) return false;
  if (table_.kind != "r" || filling->of_a_family)
    return not_online(
        "rows of partitioned, inheriting or typed tables are not filled in steps yet");
  if (filling->forces_row_security || filling->has_rules)
    return not_online("the table forces row security, or has rules");
  if (filling->has_loud_triggers || (filling->has_triggers && !filling->may_be_quiet))
    return not_online(
        "the table has triggers that a backfill would fire; a superuser could keep them silent, "
        "unless they are enabled ALWAYS");
  if (filling->published)
    return not_online(
        "the table is published, and subscribers would have to know the helper column");
  if (filling->row_type_used) return not_online("the row type of the table is used by another one");
  if (filling->has_later_triggers)
    return not_online("a trigger of the table would come after the one that fills the rows");
  if (filling->has_not_valid)
    return not_online(
        "a constraint of the table is NOT VALID: rows that break it cannot be written");
  if (!filling->may_create)
    return not_online("the role may not make a function in schema " + quoted(table_.schema));
  return true;
}

bool Alter::may_change(std::size_t piece, const parse::ColumnDefinition& definition) {
  const std::string& column = alter_.pieces()[piece].part.column;
  const auto known = table_.dependents.find(column);
  if (known == table_.dependents.end()) return false;
  if (!known->second.others.empty())
    return not_online(known->second.others.front() + " depends on column " + quoted(column));
  const auto is = [&](const std::string& name, auto what) {
    return std::any_of(table_.columns.begin(), table_.columns.end(),
                       [&](const catalog::Column& one) { return one.name == name && what(one); });
  };
  const auto computed = [](const catalog::Column& one) { return one.generated; };
  const auto any = [](const catalog::Column&) { return true; };
  if (!is(column, any) || is(column, computed))
    return not_online("column " + quoted(column) + " is computed");
  if (!definition.value) return true;
  for (const auto& function : alter_.pieces()[piece].part.functions) {
    const auto known_function = facts_.volatile_function.find(function);
    if (known_function == facts_.volatile_function.end() || known_function->second)
      return not_online("function " + function + " of its expression is volatile");
  }
  const auto& used = definition.value->columns;
  return std::all_of(
             used.begin(), used.end(),
             [&](const std::string& name) { return is(name, any) && !is(name, computed); }) ||
         not_online("its expression needs computed columns");
}

bool Alter::may_add(const parse::Part& part, const parse::ColumnDefinition& definition) {
  const bool numbered = part.serial || part.identity;
  const auto domain = facts_.constrained_domain.find(part.type);
  if (part.generated_stored)
    return not_online("a stored generated column cannot be made of one that was filled");
  if (domain != facts_.constrained_domain.end() && domain->second)
    return not_online("a domain with constraints is checked for each row when a column is added");
  if (definition.names_sequence) return not_online("the name of its sequence is given");
  return std::none_of(table_.columns.begin(), table_.columns.end(),
                      [&](const catalog::Column& column) { return column.name == part.column; }) &&
         (numbered || definition.value);
}

void Alter::warn_of_filling(Plan& plan) const {
  plan.remarks.push_back(
      "while it runs, the table has a helper column: SELECT * and new.* show it (also in triggers "
      "and functions), and COPY without a list of columns expects it");
  if (std::none_of(filled_.begin(), filled_.end(), [](const Filled& one) { return one.changed; }))
    return;
  plan.moves_columns = true;
  plan.remarks.push_back(
      "a column with a new type becomes the last one: name the columns in INSERT and COPY");
  plan.remarks.push_back(
      "prepared SELECTs of a changed column fail once with \"cached plan must not change result "
      "type\", as they do after the plain statement");
}

bool Alter::place_filled(std::size_t i) {
  const auto& piece = alter_.pieces()[i];
  const auto& part = piece.part;
  auto definition = alter_.definition(i);
  if (!can_fill() || filled(part.column) != nullptr) return false;
  if (piece.plain_only || !definition)
    return not_online("this build cannot take the definition of column " + quoted(part.column) +
                      " apart");
  Filled one;
  one.piece = i;
  one.column = part.column;
  one.changed = part.kind == "modify column";
  const auto there = [&](const std::string& name) {
    return std::any_of(table_.columns.begin(), table_.columns.end(),
                       [&](const catalog::Column& column) { return column.name == name; });
  };
  if (one.changed) {
    if (!may_change(i, *definition)) return false;
    const auto& old =
        *std::find_if(table_.columns.begin(), table_.columns.end(),
                      [&](const catalog::Column& column) { return column.name == part.column; });
    definition->not_null = old.not_null;
  } else {
    if (!may_add(part, *definition)) return false;
    if (part.serial || part.identity) definition->not_null = true;
  }
  int n = static_cast<int>(filled_.size());
  do {
    one.helper = "lockkeeper_new_" + std::to_string(++n);
  } while (there(one.helper));
  one.definition = std::move(*definition);
  renames_[one.column] = one.helper;
  filled_.push_back(one);
  gains_ = true;
  add_filled(one);
  return true;
}

void Alter::add_filled(const Filled& filled) {
  const auto& part = alter_.pieces()[filled.piece].part;
  fill_first_.push_back("ALTER TABLE " + own_name() + " ADD COLUMN " + quoted(filled.helper) + " " +
                        (part.serial ? serial_type(part.type) : filled.definition.type));
  fill_undo_.push_back("ALTER TABLE IF EXISTS " + own_name() + " DROP COLUMN IF EXISTS " +
                       quoted(filled.helper));
  if (filled.changed)
    fill_changed(filled);
  else
    fill_new(filled);
  cut_renames_.push_back("ALTER TABLE " + own_name() + " RENAME COLUMN " + quoted(filled.helper) +
                         " TO " + quoted(filled.column));
  if (!filled.definition.not_null) return;
  prove_not_null(filled.helper);
  set_not_null_.push_back(filled.column);
}

// The value of a column that was not there; makes the sequence that it needs.
std::string Alter::new_column_value(const Filled& filled) {
  const auto& part = alter_.pieces()[filled.piece].part;
  if (!part.serial && !part.identity) return filled.definition.value->text;
  const auto bare = part.serial
                        ? chosen_name(table_.name, {filled.column}, "seq", table_.taken_relations)
                        : chosen_name(table_.name, {filled.helper}, "seq", table_.taken_relations);
  const std::string sequence = quoted(table_.schema) + "." + quoted(bare);
  const std::string type = part.serial ? serial_type(part.type) : filled.definition.type;
  fill_first_.push_back("CREATE SEQUENCE " + sequence + " AS " + type + filled.definition.sequence);
  fill_first_.push_back("ALTER SEQUENCE " + sequence + " OWNED BY " + own_name() + "." +
                        quoted(filled.helper));
  std::string value = "nextval(" + literal(sequence) + "::regclass)";
  if (part.serial) return value;
  const std::string alter =
      "ALTER TABLE " + own_name() + " ALTER COLUMN " + quoted(filled.column) + " ";
  cut_after_.push_back(alter + "ADD " + filled.definition.identity);
  cut_after_.push_back("SELECT pg_catalog.setval(pg_catalog.pg_get_serial_sequence(" +
                       literal(own_name()) + ", " + literal(filled.column) +
                       "), last_value, is_called) FROM " + sequence);
  cut_after_.push_back("DROP SEQUENCE " + sequence);
  // It would be taken for the sequence of the identity.
  cut_before_.push_back("ALTER SEQUENCE " + sequence + " OWNED BY NONE");
  return value;
}

void Alter::fill_new(const Filled& filled) {
  const std::string helper = quoted(filled.helper);
  const std::string value = new_column_value(filled);
  // An identity asks nobody for rights on its sequence: the trigger draws for everybody.
  const bool identity = alter_.pieces()[filled.piece].part.identity;
  if (!identity)
    fill_first_.push_back("ALTER TABLE " + own_name() + " ALTER COLUMN " + helper +
                          " SET DEFAULT " + value);
  trigger_.push_back("IF new." + helper + " IS NULL THEN new." + helper + " := " + value +
                     "; END IF;");
  own_rights_ = true;
  fill_set_.push_back(helper + " = " + (identity ? value : "DEFAULT"));
  fill_where_.push_back(helper + " IS NULL");
}

void Alter::fill_changed(const Filled& filled) {
  const std::string helper = quoted(filled.helper);
  const auto& value = filled.definition.value;
  const std::string old = value ? "(" + value->text + ")" : quoted(filled.column);
  trigger_.push_back("new." + helper +
                     " := " + (value ? value->of_new_row : "new." + quoted(filled.column)) + ";");
  own_rights_ = own_rights_ || value;
  const auto& column =
      *std::find_if(table_.columns.begin(), table_.columns.end(),
                    [&](const catalog::Column& one) { return one.name == filled.column; });
  const auto family = family_of(column.type);
  if (value || family.empty() || family != family_of(filled.definition.type))
    plain_settings_ = false;
  else
    keep_same(filled);
  fill_set_.push_back(helper + " = " + old);
  fill_where_.push_back(helper + " IS NULL AND " + old + " IS DISTINCT FROM NULL");
}

// Somebody could switch the trigger off: a write that it did not see is refused then, not lost.
void Alter::keep_same(const Filled& filled) {
  const std::string name = quoted(helper_constraint("same"));
  helpers_.push_back("ALTER TABLE " + own_name() + " ADD CONSTRAINT " + name + " CHECK (" +
                     quoted(filled.helper) + " IS NOT DISTINCT FROM " + quoted(filled.column) +
                     "::" + filled.definition.type + ") NOT VALID");
  proofs_.push_back("VALIDATE CONSTRAINT " + name);
  cut_before_.push_back("ALTER TABLE " + own_name() + " DROP CONSTRAINT " + name);
}

std::string Alter::set_not_null_of(const std::string& column) const {
  const auto own = table_.dependents.find(column);
  const auto* changed = filled(column);
  // From 18 on it has a name, which is to be the one of before.
  if (facts_.server_version >= 180000 && changed != nullptr && changed->changed &&
      !own->second.not_null_name.empty())
    return "ADD CONSTRAINT " + quoted(own->second.not_null_name) + " NOT NULL " + quoted(column);
  return "ALTER " + quoted(column) + " SET NOT NULL";
}

std::string Alter::helper_constraint(const std::string& what) {
  std::string name;
  const auto taken = taken_for(what);
  for (int n = 1; name.empty() || std::count(taken.begin(), taken.end(), name) != 0; ++n)
    name = "lockkeeper_" + what + "_" + std::to_string(n);
  names_.push_back(name);
  return name;
}

bool Alter::dependents_of_changed() {
  for (const auto& one : filled_) {
    if (!one.changed) continue;
    const auto& own = table_.dependents.at(one.column);
    for (const auto& constraint : own.referring) {
      if (constraint.partitioned || dropped_.count(constraint.name) != 0) return false;
      move_referring(constraint);
    }
    for (const auto& index : own.indexes)
      if (moved_.insert("index " + index.name).second && !copy_index(index)) return false;
    for (const auto& constraint : own.constraints) {
      if (dropped_.count(constraint.name) != 0) return false;
      if (constraint.itself)
        move_referring(constraint);
      else if (moved_.insert("constraint " + constraint.name).second &&
               !copy_constraint(constraint))
        return false;
    }
    for (const auto& sequence : own.sequences) {
      if (sequence.granted && sequence.identity) return false;
      move_sequence(one, sequence);
    }
    if (own.identity.empty() != std::none_of(own.sequences.begin(), own.sequences.end(),
                                             [](const auto& s) { return s.identity; }))
      return false;
    move_properties(one, own);
  }
  return true;
}

bool Alter::copy_index(const catalog::ColumnIndex& index) {
  if (!index.valid || index.exclusion || index.replica_identity || index.tablespace ||
      dropped_.count(index.name) != 0)
    return false;
  auto taken = table_.taken_relations;
  taken.insert(taken.end(), names_.begin(), names_.end());
  const std::string name = chosen_name(table_.name, {"lockkeeper"}, "idx", taken);
  names_.push_back(name);
  const auto text = parse::index_on(index.definition, renames_, name);
  if (!text) return false;
  Step build = step(StepKind::build_index, LockMode::share_update_exclusive, true,
                    "builds index " + quoted(index.name) + " for the new column");
  build.index = quoted(name);
  build.table = own_name();
  build.statements = {*text};
  build.undo = {"DROP INDEX CONCURRENTLY IF EXISTS " + quoted(table_.schema) + "." + build.index};
  build.schema_state = "write reorganization";
  builds_.push_back(std::move(build));
  const std::string final_name = quoted(table_.schema) + "." + quoted(index.name);
  if (index.of_constraint) {
    keys_.push_back("ALTER TABLE " + own_name() + " ADD CONSTRAINT " + quoted(index.name) +
                    (index.primary ? " PRIMARY KEY" : " UNIQUE") + " USING INDEX " + quoted(name) +
                    (index.deferrable ? " DEFERRABLE" : "") +
                    (index.deferred ? " INITIALLY DEFERRED" : ""));
  } else {
    keys_.push_back("ALTER INDEX " + quoted(table_.schema) + "." + quoted(name) + " RENAME TO " +
                    quoted(index.name));
  }
  if (index.clustered)
    cut_after_.push_back("ALTER TABLE " + own_name() + " CLUSTER ON " + quoted(index.name));
  if (!index.comment.empty())
    cut_after_.push_back("COMMENT ON INDEX " + final_name + " IS " + literal(index.comment));
  if (!index.constraint_comment.empty())
    cut_after_.push_back("COMMENT ON CONSTRAINT " + quoted(index.name) + " ON " + own_name() +
                         " IS " + literal(index.constraint_comment));
  return true;
}

bool Alter::copy_constraint(const catalog::ColumnConstraint& constraint) {
  if (constraint.partitioned || !constraint.valid)
    return not_online("constraint " + quoted(constraint.name) +
                      " is of partitions, or it is NOT VALID");
  const std::string name = helper_constraint(constraint.foreign_key ? "reference" : "check");
  const auto text = parse::constraint_on("ALTER TABLE " + own_name() + " ADD CONSTRAINT " +
                                             quoted(constraint.name) + " " + constraint.definition,
                                         renames_, name);
  if (!text) return false;
  helpers_.push_back(*text + " NOT VALID");
  if (constraint.foreign_key) {
    first_locks_.push_back(
        {unit_.action, constraint.table, LockMode::share_row_exclusive, false, false, ""});
    proof_locks_.push_back({unit_.action, constraint.table, LockMode::row_share, false, false, ""});
    cut_locks_.push_back(
        {unit_.action, constraint.table, LockMode::access_exclusive, false, false, ""});
  }
  proofs_.push_back("VALIDATE CONSTRAINT " + quoted(name));
  cut_after_.push_back("ALTER TABLE " + own_name() + " RENAME CONSTRAINT " + quoted(name) + " TO " +
                       quoted(constraint.name));
  if (!constraint.comment.empty())
    cut_after_.push_back("COMMENT ON CONSTRAINT " + quoted(constraint.name) + " ON " + own_name() +
                         " IS " + literal(constraint.comment));
  return true;
}

// A foreign key to the column goes with it, and comes again for the new one, without a look at the
// rows; that follows, when nobody is held up.
void Alter::move_referring(const catalog::ColumnConstraint& constraint) {
  if (!moved_.insert("reference " + constraint.table + "." + constraint.name).second) return;
  const std::string alter = "ALTER TABLE " + constraint.table + " ";
  cut_before_.push_back(alter + "DROP CONSTRAINT " + quoted(constraint.name));
  at_last_.push_back(alter + "ADD CONSTRAINT " + quoted(constraint.name) + " " +
                     constraint.definition + (constraint.valid ? " NOT VALID" : ""));
  if (!constraint.comment.empty())
    at_last_.push_back("COMMENT ON CONSTRAINT " + quoted(constraint.name) + " ON " +
                       constraint.table + " IS " + literal(constraint.comment));
  if (constraint.table != own_name()) {
    cut_tables_.insert(constraint.table);
    cut_locks_.push_back(
        {unit_.action, constraint.table, LockMode::access_exclusive, false, false, ""});
  }
  if (!constraint.valid) return;
  Step proof = step(StepKind::transaction, LockMode::row_share, true,
                    "reads the rows that refer to the column once, beside reads and writes");
  proof.statements = {alter + "VALIDATE CONSTRAINT " + quoted(constraint.name)};
  proof.target_oid.clear();
  proof.locks.push_back(
      {unit_.action, constraint.table, LockMode::share_update_exclusive, false, true, ""});
  after_.push_back(std::move(proof));
}

void Alter::move_sequence(const Filled& filled, const catalog::ColumnSequence& sequence) {
  if (!sequence.identity) {
    cut_before_.push_back("ALTER SEQUENCE " + sequence.name + " OWNED BY " + own_name() + "." +
                          quoted(filled.helper));
    return;
  }
  const std::string kept = "lockkeeper.kept_" + filled.helper;
  cut_before_.push_back("SELECT pg_catalog.set_config('" + kept +
                        "', (SELECT last_value || ' ' || is_called FROM " + sequence.name +
                        "), true)");
  cut_after_.push_back("ALTER TABLE " + own_name() + " ALTER COLUMN " + quoted(filled.column) +
                       " ADD GENERATED " + table_.dependents.at(filled.column).identity +
                       " AS IDENTITY (SEQUENCE NAME " + sequence.name + " " + sequence.options +
                       ")");
  const std::string value = "pg_catalog.current_setting('" + kept + "')";
  cut_after_.push_back("SELECT pg_catalog.setval(" + literal(sequence.name) +
                       ", pg_catalog.split_part(" + value + ", ' ', 1)::bigint, " +
                       "pg_catalog.split_part(" + value + ", ' ', 2)::boolean)");
  if (!sequence.comment.empty())
    cut_after_.push_back("COMMENT ON SEQUENCE " + sequence.name + " IS " +
                         literal(sequence.comment));
}

void Alter::move_properties(const Filled& filled, const catalog::Dependents& own) {
  const std::string alter =
      "ALTER TABLE " + own_name() + " ALTER COLUMN " + quoted(filled.column) + " ";
  const auto& pieces = alter_.pieces();
  const bool dropped = std::any_of(pieces.begin(), pieces.end(), [&](const auto& piece) {
    return piece.part.kind == "drop default" && piece.part.column == filled.column;
  });
  if (!own.default_value.empty() && !dropped)
    cut_after_.push_back(alter + "SET DEFAULT " + own.default_value);
  if (!own.statistics.empty()) cut_after_.push_back(alter + "SET STATISTICS " + own.statistics);
  if (!own.options.empty()) cut_after_.push_back(alter + "SET (" + own.options + ")");
  if (!own.comment.empty())
    cut_after_.push_back("COMMENT ON COLUMN " + own_name() + "." + quoted(filled.column) + " IS " +
                         literal(own.comment));
  cut_after_.insert(cut_after_.end(), own.grants.begin(), own.grants.end());
}

// The trigger's name comes behind those of the application, whose row it then sees.
void Alter::add_trigger() {
  const std::string function =
      quoted(table_.schema) + "." + quoted("lockkeeper_fill_" + table_.oid) + "()";
  const std::string trigger = quoted("~lockkeeper_fill");
  const std::string body = " BEGIN IF tg_relid <> " + table_.oid +
                           " THEN RAISE EXCEPTION 'not for this table'; END IF; " +
                           joined(trigger_, " ") + " RETURN new; END ";
  // It runs with the rights of who changes the table: nobody's temporary objects come first.
  if (own_rights_)
    fill_first_.push_back(
        "SELECT pg_catalog.set_config('search_path', pg_catalog.concat_ws(', ', "
        "nullif(pg_catalog.current_setting('search_path'), ''), 'pg_temp'), true)");
  fill_first_.push_back("CREATE FUNCTION " + function + " RETURNS trigger LANGUAGE plpgsql" +
                        (own_rights_ ? " SECURITY DEFINER SET search_path FROM CURRENT" : "") +
                        (plain_settings_ ? "" : kSettings) + " AS " + dollar_quoted(body));
  fill_first_.push_back("REVOKE ALL ON FUNCTION " + function + " FROM PUBLIC");
  fill_first_.push_back("CREATE TRIGGER " + trigger + " BEFORE INSERT OR UPDATE ON " + own_name() +
                        " FOR EACH ROW EXECUTE FUNCTION " + function);
  // Also for rows that come by replication.
  fill_first_.push_back("ALTER TABLE " + own_name() + " ENABLE ALWAYS TRIGGER " + trigger);
  fill_undo_.insert(fill_undo_.begin(), {"DROP TRIGGER IF EXISTS " + trigger + " ON " + own_name(),
                                         "DROP FUNCTION IF EXISTS " + function});
  // Who switched it off meanwhile has written rows that it did not see.
  cut_before_.push_back(
      "DO " +
      dollar_quoted(
          " BEGIN IF NOT EXISTS (SELECT FROM pg_catalog.pg_trigger WHERE tgrelid = " + table_.oid +
          " AND tgname = '~lockkeeper_fill' AND tgenabled = 'A') THEN "
          "RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = " +
          literal("the trigger that fills rows of " + own_name() +
                  " was switched off while its change was under way") +
          "; END IF; END "));
  cut_before_.push_back("DROP TRIGGER " + trigger + " ON " + own_name());
  cut_before_.push_back("DROP FUNCTION " + function);
}

void Alter::finish_filled() {
  std::string locked = own_name();
  for (const auto& table : cut_tables_) locked += ", " + table;
  cut_before_.insert(cut_before_.begin(), "LOCK TABLE " + locked + " IN ACCESS EXCLUSIVE MODE");
  add_trigger();
  for (const auto& one : filled_)
    if (one.changed)
      cut_before_.push_back("ALTER TABLE " + own_name() + " DROP COLUMN " + quoted(one.column));
}

namespace {
bool calls_nextval(const parse::Part& part) {
  return std::any_of(part.functions.begin(), part.functions.end(), [](const std::string& function) {
    return function.size() >= 7 && function.compare(function.size() - 7, 7, "nextval") == 0;
  });
}
}  // namespace

Step Alter::fill_step() const {
  Step made = step(StepKind::backfill, LockMode::row_exclusive, false,
                   "writes the rows, some blocks at a time, beside reads and writes");
  std::vector<std::string> where;
  for (const auto& one : fill_where_)
    where.push_back(fill_where_.size() > 1 ? "(" + one + ")" : one);
  made.statements = {"UPDATE " + own_name() + " SET " + joined(fill_set_, ", ") + " WHERE (" +
                     joined(where, " OR ") + ")"};
  made.schema_state = "write reorganization";
  made.verify = "SELECT FROM " + own_name() + " WHERE (" + joined(where, " OR ") + ") LIMIT 1";
  made.may_stay_null = std::none_of(filled_.begin(), filled_.end(), [](const Filled& one) {
    return one.changed || one.definition.not_null;
  });
  made.in_order = std::any_of(filled_.begin(), filled_.end(), [&](const Filled& one) {
    const auto& part = alter_.pieces()[one.piece].part;
    return !one.changed && (part.serial || part.identity || calls_nextval(part));
  });
  if (made.in_order) made.says += "; by one worker, so that numbers are in the order of the rows";
  made.quiet = table_.filling->has_triggers;
  return made;
}

}  // namespace lockkeeper::plan
