// The same service as one writes it with Node.js's own http.
const http = require("node:http");

const server = http.createServer((request, response) => {
  const delay = Number(new URL(request.url, "http://localhost").searchParams.get("delay"));
  const reply = () => {
    const body = JSON.stringify({ delay });
    const headers = { "Content-Type": "application/json", "Content-Length": body.length };
    response.writeHead(200, headers).end(body);
  };
  if (delay > 0) setTimeout(reply, Math.round(delay * 1000));
  else reply();
});

server.listen({ host: "127.0.0.1", port: 0, backlog: 4096 }, () =>
  console.log(`http://127.0.0.1:${server.address().port}`),
);
