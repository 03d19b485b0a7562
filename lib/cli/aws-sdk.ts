/** Loading what needs the AWS SDK. */

/** Loads a module over the AWS SDK, where it is named: all others need not wait for it. */
export async function loadOverAwsSdk<Module>(load: () => Promise<Module>): Promise<Module> {
  // Which Node the command runs on is not its reader's choice, and stderr is for what went wrong.
  process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true'
  return load()
}
