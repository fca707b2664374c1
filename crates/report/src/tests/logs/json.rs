//! The answer for programs.

use super::*;

#[test]
fn json_is_what_the_schema_says() {
    let mut report = report();
    report.incidents[0].timeline.truncate(2);
    report.access.as_mut().unwrap().timeline.truncate(1);
    insta::assert_snapshot!(as_json(&report), @r#"
    {
      "schema": "why502.logs/1",
      "files": [
        {
          "name": "/var/log/nginx/error.log",
          "kind": "error",
          "bytes": 2500000,
          "lines": 10532,
          "first": "2026-06-23T14:00:02",
          "last": "2026-06-23T14:59:58"
        },
        {
          "name": "-",
          "kind": "unknown",
          "bytes": 0,
          "lines": 0,
          "first": null,
          "last": null
        }
      ],
      "window": {
        "from": "2026-06-23T14:00:02",
        "to": "2026-06-23T14:59:58"
      },
      "lines": 10532,
      "upstream_failures": 1244,
      "suspects": 2,
      "strange": 1,
      "jumps": 0,
      "step": "minute",
      "incidents": [
        {
          "peer": "127.0.0.1:8000",
          "upstream": "shop",
          "protocol": "http",
          "failure": "connect-refused",
          "errno": 111,
          "while": "connecting to upstream",
          "status": 502,
          "count": 1240,
          "first_seen": "2026-06-23T14:10:11",
          "last_seen": "2026-06-23T14:25:59",
          "rate": 1.307,
          "servers": [
            "shop.example.com",
            "api.example.com",
            "www.example.com",
            "old.example.com"
          ],
          "server_counts": [
            [
              "shop.example.com",
              1200
            ],
            [
              "api.example.com",
              30
            ],
            [
              "www.example.com",
              9
            ],
            [
              "old.example.com",
              1
            ]
          ],
          "locations": [
            [
              "/cart",
              1000
            ],
            [
              "/",
              240
            ]
          ],
          "clients": {
            "count": 37,
            "estimate": false
          },
          "timeline": [
            [
              "2026-06-23T14:10:00",
              10
            ],
            [
              "2026-06-23T14:11:00",
              12
            ]
          ],
          "sample": "2026/06/23 14:10:11 [error] 2841#2841: *1 connect() failed (111: Connection refused) while connecting to upstream, client: 198.51.100.7",
          "candidates": [
            {
              "cause": "peer-not-listening",
              "likelihood": 0.62,
              "why": "nothing listens",
              "tell_apart": "ss -ltnp 'sport = :8000'",
              "threads": [
                31,
                50
              ]
            },
            {
              "cause": "peer-port-mismatch",
              "likelihood": 0.184,
              "why": "nothing listens",
              "tell_apart": "ss -ltnp 'sport = :8000'",
              "threads": [
                31,
                50
              ]
            },
            {
              "cause": "peer-family-mismatch",
              "likelihood": 0.08,
              "why": "nothing listens",
              "tell_apart": "ss -ltnp 'sport = :8000'",
              "threads": [
                31,
                50
              ]
            },
            {
              "cause": "firewall-rejects-connect",
              "likelihood": 0.02,
              "why": "nothing listens",
              "tell_apart": "ss -ltnp 'sport = :8000'",
              "threads": [
                31,
                50
              ]
            }
          ],
          "verdict": {
            "cause": "peer-port-mismatch",
            "summary": "gunicorn listens on 127.0.0.1:8001, nginx dials 127.0.0.1:8000"
          }
        },
        {
          "peer": "-",
          "upstream": null,
          "protocol": null,
          "failure": "read-timeout",
          "errno": 110,
          "while": null,
          "status": null,
          "count": 1,
          "first_seen": "2026-06-23T14:55:01",
          "last_seen": "2026-06-23T14:55:01",
          "rate": 1.0,
          "servers": [],
          "server_counts": [],
          "locations": [],
          "clients": {
            "count": 0,
            "estimate": false
          },
          "timeline": [
            [
              "2026-06-23T14:55:00",
              1
            ]
          ],
          "sample": "",
          "candidates": [],
          "verdict": {
            "cause": null,
            "summary": "the snapshot was taken too late"
          }
        }
      ],
      "top": {
        "clients": [
          [
            "203.0.113.9",
            1200
          ],
          [
            "198.51.100.7",
            41
          ]
        ],
        "urls": [
          [
            "/cart",
            1000
          ],
          [
            "/",
            241
          ]
        ],
        "hosts": [
          [
            "shop.example.com",
            1241
          ]
        ],
        "error": {
          "clients": 4,
          "urls": 0,
          "hosts": 0
        }
      },
      "access": {
        "requests": 120000,
        "unfit": 0,
        "beyond": 0,
        "by_status": {
          "200": 118000,
          "404": 758,
          "502": 1241,
          "504": 1
        },
        "server_errors": 1242,
        "peers": [
          {
            "peer": "127.0.0.1:8000",
            "attempts": 80000,
            "server_errors": 1241,
            "p50": 12.0,
            "p95": 80.25,
            "p99": 1204.0
          },
          {
            "peer": "unix:/run/php/php8.1-fpm.sock",
            "attempts": 3,
            "server_errors": 0,
            "p50": null,
            "p95": null,
            "p99": null
          }
        ],
        "timeline": [
          [
            "2026-06-23T14:00:00",
            2000,
            0
          ]
        ],
        "top": {
          "clients": [
            [
              "203.0.113.9",
              1200
            ]
          ],
          "urls": [
            [
              "/cart",
              1000
            ]
          ],
          "hosts": [],
          "error": {
            "clients": 0,
            "urls": 0,
            "hosts": 0
          }
        }
      },
      "silences": [
        [
          "2026-06-23T14:26:10",
          "2026-06-23T14:55:01"
        ]
      ],
      "skipped": {
        "lines": 12,
        "files": [
          {
            "file": "access.log.3.gz",
            "why": "its compressed data ends too early",
            "lines": 12,
            "whole": false
          },
          {
            "file": "core",
            "why": "it is no log",
            "lines": 0,
            "whole": true
          }
        ]
      },
      "interrupted": false,
      "beyond": 3,
      "clients": {
        "count": 12000,
        "estimate": true
      }
    }
    "#);
}
