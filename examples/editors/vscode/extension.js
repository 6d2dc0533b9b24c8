// Starts `engine lsp` for YAML files of this window.
const { workspace } = require("vscode");
const { LanguageClient, TransportKind } = require("vscode-languageclient/node");

let client;

exports.activate = async () => {
  const settings = workspace.getConfiguration("policies");
  const folders = settings.get("folders").flatMap((folder) => ["--policies", folder]);
  const server = {
    command: settings.get("command"),
    args: ["lsp", ...folders],
    transport: TransportKind.stdio,
    options: { cwd: workspace.workspaceFolders?.[0]?.uri.fsPath },
  };
  client = new LanguageClient("policies", "Policies", server, {
    documentSelector: [{ scheme: "file", language: "yaml" }],
  });
  await client.start();
};

exports.deactivate = () => client?.stop();
