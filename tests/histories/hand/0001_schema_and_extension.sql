-- a hand-written start, with a byte order mark
create schema app;
create extension if not exists pg_trgm with schema app;
set search_path to app, public;
create sequence invoice_no start 1000 increment 10 cache 5;
create table customers (
    id          bigint generated always as identity primary key,
    email       text not null,
    "Full Name" text,
    tier        smallint not null default 1 check (tier between 1 and 5),
    created     timestamptz not null default now()
);
create index customers_email_trgm on customers using gin (email gin_trgm_ops);
