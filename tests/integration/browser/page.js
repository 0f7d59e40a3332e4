// SPDX-License-Identifier: Apache-2.0
// A page that shows two flags and follows their changes; #url=…&token=… says of which daemon.
import { OFREPWebProvider } from '@openfeature/ofrep-web-provider';
import { OpenFeature, ProviderEvents } from '@openfeature/web-sdk';

const where = new URLSearchParams(location.hash.slice(1));
const show = (id, text) => (document.getElementById(id).textContent = text);

function render(client) {
  show('text', client.getStringValue('text', 'default'));
  const { value, reason, variant } = client.getBooleanDetails('bool', false);
  show('bool', `${value} ${variant} ${reason}`);
}

async function main() {
  const headers = [['Authorization', `Bearer ${where.get('token')}`]];
  const provider = new OFREPWebProvider({ baseUrl: where.get('url'), headers, pollInterval: 0 });
  await OpenFeature.setContext({ targetingKey: 'user-1' });
  await OpenFeature.setProviderAndWait(provider);
  const client = OpenFeature.getClient();
  client.addHandler(ProviderEvents.ConfigurationChanged, (details) => {
    show('changed', details.flagsChanged.join());
    render(client);
  });
  render(client);
}

main().catch((error) => show('error', `${error.message}: ${error.cause?.message ?? error.cause}`));
