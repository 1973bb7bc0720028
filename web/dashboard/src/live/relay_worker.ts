// The worker that all pages of a browser share: it holds their one connection to the server.

import { type Page, Relay } from "./relay";

const relay = new Relay();

// TypeScript knows either pages or workers, not both in one program.
(self as unknown as { onconnect: (event: MessageEvent) => void }).onconnect = ({ ports }) => {
  if (ports[0]) relay.accept(ports[0] satisfies Page);
};
