//! A schema as text, from the server's own catalogue: what the migrations have made of it.

use std::fmt::Write as _;

use sqlx::Row as _;
use sqlx::postgres::PgPool;

/// Each table with its columns, in their order.
const COLUMNS: &str = "SELECT t.relname::text AS table_name, concat_ws(' ', a.attname, \
        format_type(a.atttypid, a.atttypmod), \
        CASE WHEN a.attcollation <> y.typcollation THEN 'COLLATE ' || quote_ident(l.collname) END, \
        CASE WHEN a.attnotnull THEN 'NOT NULL' END, \
        CASE WHEN a.attidentity = 'a' THEN 'GENERATED ALWAYS AS IDENTITY' END, \
        'DEFAULT ' || pg_get_expr(d.adbin, d.adrelid)) AS definition \
     FROM pg_class t \
     JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped \
     JOIN pg_type y ON y.oid = a.atttypid \
     LEFT JOIN pg_collation l ON l.oid = a.attcollation \
     LEFT JOIN pg_attrdef d ON d.adrelid = t.oid AND d.adnum = a.attnum \
     WHERE t.relnamespace = to_regnamespace(current_schema()) AND t.relkind = 'r' \
     ORDER BY t.relname COLLATE \"C\", a.attnum";

/// The constraints of a table.
const CONSTRAINTS: &str = "SELECT pg_get_constraintdef(o.oid) AS definition \
     FROM pg_constraint o JOIN pg_class t ON t.oid = o.conrelid \
     WHERE t.relnamespace = to_regnamespace(current_schema()) AND t.relname = $1 AND o.contype IN ('p', 'u', 'f', 'c') \
     ORDER BY position(o.contype::text IN 'pufc'), pg_get_constraintdef(o.oid) COLLATE \"C\"";

/// The indexes of a table that are no constraints.
const INDEXES: &str = "SELECT pg_get_indexdef(i.indexrelid, 0, true) AS definition \
     FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid \
     WHERE t.relnamespace = to_regnamespace(current_schema()) AND t.relname = $1 \
        AND NOT EXISTS (SELECT 1 FROM pg_constraint o WHERE o.conindid = i.indexrelid AND o.contype IN ('p', 'u')) \
     ORDER BY pg_get_indexdef(i.indexrelid, 0, true) COLLATE \"C\"";

pub(super) async fn describe(pool: &PgPool) -> Result<String, sqlx::Error> {
    let mut text =
        String::from("-- Generated: the schema after all migrations. Do not edit; a test says how to write it anew.\n");
    let mut tables: Vec<(String, Vec<String>)> = Vec::new();
    for row in sqlx::query(COLUMNS).fetch_all(pool).await? {
        let (table, column): (String, String) = (row.try_get("table_name")?, row.try_get("definition")?);
        match tables.last_mut() {
            Some((last, columns)) if *last == table => columns.push(column),
            _ => tables.push((table, vec![column])),
        }
    }
    for (table, mut lines) in tables {
        lines.extend(definitions(pool, CONSTRAINTS, &table).await?);
        let indexes = definitions(pool, INDEXES, &table).await?;
        let lines = lines.join(",\n    ");
        write!(text, "\nCREATE TABLE {table} (\n    {lines}\n);\n").expect("text takes all");
        for index in indexes {
            write!(text, "\n{index};\n").expect("text takes all");
        }
    }
    Ok(text)
}

async fn definitions(pool: &PgPool, statement: &'static str, table: &str) -> Result<Vec<String>, sqlx::Error> {
    let rows = sqlx::query(statement).bind(table).fetch_all(pool).await?;
    rows.iter().map(|row| row.try_get("definition")).collect()
}
