// Preact, its hooks and htm's templates under one name: pages import all of it from here.
import htm from "./htm.js";
import { h } from "./preact.js";

export * from "./hooks.js";
export * from "./preact.js";
export const html = htm.bind(h);
