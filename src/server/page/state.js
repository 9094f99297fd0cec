// What the page knows at the moment. Scripts are joined in the order of their names, so this stands
// behind what it is made of.
const app = {
  features: null, settings: { ...defaultSettings }, tree: newConversation(Date.now()), stored: false,
  views: [], shown: 50, running: null, maps: new Map(), queue: null, last: 0,
};
