import { type Command, Option } from "commander";
import { collected } from "./certificate.ts";

/** Those that answer a question. */
export function addAnswers(command: Command): Command {
  const many = (flags: string, description: string) => command.option(flags, description, collected);
  many("--registries <ids>", "the registries that are on, such as dockerhub,ghcr; all others are off");
  many("--add-registry <id=url>", "a registry of your own, such as corp=https://registry.corp.example");
  command.option("--hostname-all <name>", "the one host name for all registries");
  many("--hostname <id=name>", "a registry's own host name; may be given several times");
  command.option("--no-hostnames", "take the host names away that are not given");
  many("--listen <address:port>", "where clients come in; 0.0.0.0:5000 for other machines too");
  command.option("--url <url>", "by which clients reach the cache, where a proxy stands in front of it");
  command.addOption(new Option("--tls <how>", "whose certificate is shown").choices(["off", "files", "acme", "own"]));
  command.option("--cert <file>", "with --tls files: the certificate");
  command.option("--key <file>", "with --tls files: its private key");
  command.option("--ca <file>", "with --tls files: the authority by which clients trust it");
  command.option("--acme-directory <url>", "with --tls acme: the authority, by default Let's Encrypt");
  command.option("--acme-ca <file>", "with --tls acme: the root by which the authority itself is trusted");
  command.option("--acme-email <address>", "with --tls acme: where the authority may write to");
  command.option("--acme-challenge <which>", "with --tls acme: http-01 (port 80) or tls-alpn-01 (port 443)");
  many("--certificate-name <name>", "with --tls own or acme: whom the certificate is for, by default all host names");
  command.option("--everybody", "let everybody pull who reaches the cache, but for what is given beside it");
  many("--network <network>", "let in from these networks alone, such as 10.0.0.0/8");
  command.option(
    "--basic-user <name>",
    "let in with user and password, and add this user (or give it another password)",
  );
  command.option("--htpasswd <file>", "the file of users, by default users.htpasswd");
  command.option("--mtls-ca <file>", "let in with certificates that this authority signed; own: one made here");
  many("--client <name>", "make a client's certificate, by the authority made here");
  command.option("--secret-path <name>", "let Docker's mirror in by a secret path, whose secret is made");
  many("--username <id=name>", "the account at a registry; without a name, none");
  command.option("--data-dir <folder>", "where images are kept");
  command.option("--min-free-disk <size>", "what stays free on that disk, such as 10GiB");
  return command;
}

/** Which of them were given, as they are written. */
export function answersGiven(command: Command): string[] {
  const others = new Set(["nonInteractive", "yes", "dryRun", "json", "test", "help", "config"]);
  return command.options
    .filter(
      (option) => !others.has(option.attributeName()) && command.getOptionValueSource(option.attributeName()) === "cli",
    )
    .map((option) => option.long ?? "");
}
